"""FT: Kim, Park, Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018.

arXiv 1802.04977. Code followed: github.com/HobbitLong/RepDistiller.
"""

__all__ = ["FT"]

import torch.nn.functional as F
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.losses.ft import ft_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeInt, PositiveFloat, Weight
from kdlight.unpack import Unpack

SLOPE = 0.1
LARGEST_RATE = 16  # above it the factor is far larger than the map that it compresses


class FT(FeatureDistiller):
    """Compress the teacher's last map to a factor, then have a translator find it in the student's.

    First phase (`paraphraser_epochs`): an autoencoder of the teacher's last map, the paraphraser, minimises the mean
    squared error. Second phase: it is frozen, student and translator minimise ``CE + ft_weight * ft_loss(translator(s),
    encoder(t))``. Each encoder is three 3x3 convolutions with leaky ReLU, the paraphraser's without batch norm, the
    translator's with.

    The code trains the paraphraser before its 240 epochs, at a rate of 0.01 for ResNet and wrn students and at the
    recipe's for the others; here it is always the recipe's. Add the epochs to the trainer's and to the schedule's
    milestones.

    Args:
        student: The network that is trained.
        teacher: The network it learns from.
        ft_weight: Weight of the factors' distance.
        paraphraser_epochs: Epochs of the first phase.
        rate: k of the paper, channels of a factor for each of the teacher's.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If the factor would have no channel, or far more than the map.
    """

    reads = ("logits", "stages")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        ft_weight: Weight = 200.0,
        paraphraser_epochs: NonNegativeInt = 30,
        rate: PositiveFloat = 0.5,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.ft_weight = ft_weight
        self.paraphraser_epochs = paraphraser_epochs
        (pair,) = pair_stages(self, [-1])
        of_student, of_teacher = pair.student_shape[0], pair.teacher_shape[0]
        factor = int(rate * of_teacher)
        if not 1 <= factor <= LARGEST_RATE * of_teacher:
            raise UserError(
                f"rate: expected one that leaves a channel of the teacher's {of_teacher}, and at most {LARGEST_RATE}, "
                f"got {rate}"
            )
        self.paraphraser = nn.ModuleDict(
            {"encoder": _build_encoder(of_teacher, factor, norm=False), "decoder": _build_decoder(factor, of_teacher)}
        )
        self.translator = _build_encoder(of_student, factor, norm=True)

    def trainable_children(self, epoch: int) -> tuple[nn.Module, ...]:
        """Return the paraphraser, then student and translator."""
        return (self.paraphraser,) if epoch < self.paraphraser_epochs else (self.student, self.translator)

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the paraphraser's error, for which the student need not run; then the terms of both."""
        if self.current_epoch >= self.paraphraser_epochs:
            return super().batch_terms(batch)
        of_teacher = self.teacher_activations(batch).stages[-1]
        rebuilt = self.paraphraser["decoder"](self.paraphraser["encoder"](of_teacher))
        return {"ft_paraphraser": F.mse_loss(rebuilt, of_teacher)}

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the factors' distance."""
        terms = self.task_terms(student, teacher, batch)
        factors = self.translator(student.stages[-1]), self.paraphraser["encoder"](teacher.stages[-1])
        terms["ft"] = self.ft_weight * ft_loss(*factors)
        return terms


def _build_encoder(inputs: int, factor: int, *, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((inputs, inputs), (inputs, factor), (factor, factor)):
        layers += [nn.Conv2d(before, after, 3, padding=1), *([nn.BatchNorm2d(after)] if norm else [])]
        layers.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*layers)


def _build_decoder(factor: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((factor, factor), (factor, outputs), (outputs, outputs)):
        layers += [nn.ConvTranspose2d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)
