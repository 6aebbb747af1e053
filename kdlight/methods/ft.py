"""FT: Kim, Park, Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018.

arXiv 1802.04977. This file follows the code of RepDistiller (github.com/HobbitLong/RepDistiller).
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
LARGEST_RATE = 16  # with a larger rate, the factor would be far larger than the map that it is meant to compress


class FT(FeatureDistiller):
    """Compress the teacher's last map to a factor, which a translator learns to predict from the student's last map.

    The paraphraser is an autoencoder of the teacher's last map. In the first phase, which takes `paraphraser_epochs`,
    the paraphraser minimises the mean squared error of the reconstructed map. In the second phase the paraphraser is
    frozen, and student and translator minimise ``CE + ft_weight * ft_loss(translator(s), encoder(t))``, where s and t
    are the last maps of student and teacher. The paraphraser's encoder and the translator both have three 3x3
    convolutions with leaky ReLU; only the translator has batch norms.

    RepDistiller trains the paraphraser before the 240 epochs of the student. The paraphraser's learning rate there is
    0.01 if the student is a ResNet or a wide ResNet, and otherwise the student's learning rate. Here the paraphraser
    always has the student's learning rate. To train the student for as many epochs as RepDistiller does, add
    `paraphraser_epochs` to the trainer's epochs and to the schedule's milestones.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        ft_weight: Weight of `ft_loss`.
        paraphraser_epochs: Epochs of the first phase.
        rate: k of the paper: the factor's number of channels divided by that of the teacher's last map.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If the factor would have no channels, or more than `LARGEST_RATE` times as many as the map.
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
                f"rate: expected at least {1 / of_teacher:.3g}, so that the factor has a channel, and at most "
                f"{LARGEST_RATE}, got {rate}"
            )
        self.paraphraser = nn.ModuleDict(
            {"encoder": _build_encoder(of_teacher, factor, norm=False), "decoder": _build_decoder(factor, of_teacher)}
        )
        self.translator = _build_encoder(of_student, factor, norm=True)

    def trainable_children(self, epoch: int) -> tuple[nn.Module, ...]:
        """Return the paraphraser in the first phase, student and translator in the second."""
        return (self.paraphraser,) if epoch < self.paraphraser_epochs else (self.student, self.translator)

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the paraphraser's error in the first phase, without running the student; afterwards `loss_terms`."""
        if self.current_epoch >= self.paraphraser_epochs:
            return super().batch_terms(batch)
        of_teacher = self.teacher_activations(batch).stages[-1]
        rebuilt = self.paraphraser["decoder"](self.paraphraser["encoder"](of_teacher))
        return {"ft_paraphraser": F.mse_loss(rebuilt, of_teacher)}

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms`, and ``ft_weight * ft_loss``."""
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
