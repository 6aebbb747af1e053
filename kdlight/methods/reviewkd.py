"""ReviewKD: Chen, Liu, Zhao, Jia, "Distilling Knowledge via Knowledge Review", CVPR 2021 (arXiv 2104.09044)."""

__all__ = ["ReviewKD"]

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.losses.reviewkd import hcl_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.preactivations import get_preactivations
from kdlight.methods.base.schedules import ramp_up
from kdlight.methods.base.stages import StagePair, pair_stages, run_both_on_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeInt, Weight
from kdlight.unpack import Unpack

MAXIMAL_WIDTH = 512


class AttentionFusion(nn.Module):
    """Attention-based fusion (ABF) of one level with the deeper levels. A level is a stage or the embedding.

    Args:
        inputs: Channels of the student's level.
        width: Channels of the inner maps.
        outputs: Channels of the teacher's level.
        fuse: Whether there is a deeper level to fuse with.
    """

    def __init__(self, inputs: int, width: int, outputs: int, *, fuse: bool) -> None:
        super().__init__()
        narrow, widen = nn.Conv2d(inputs, width, 1, bias=False), nn.Conv2d(width, outputs, 3, padding=1, bias=False)
        for convolution in (narrow, widen):
            nn.init.kaiming_uniform_(convolution.weight, a=1)
        self.conv1 = nn.Sequential(narrow, nn.BatchNorm2d(width))
        self.conv2 = nn.Sequential(widen, nn.BatchNorm2d(outputs))
        self.att_conv = nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid()) if fuse else None

    def forward(self, level: Tensor, deeper: Tensor | None, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Fuse a level with the deeper levels, and resize the result.

        Args:
            level: The student's map, with `inputs` channels.
            deeper: The second of the two maps that the next deeper level's fusion returned, with `width` channels and
                any height and width; None at the deepest level.
            size: Height and width of the teacher's level.

        Returns:
            The fused map with `outputs` channels, and a map with `width` channels for the next shallower level. Both
            have the height and width `size`.
        """
        fused: Tensor = self.conv1(level)
        if self.att_conv is not None:
            assert deeper is not None
            deeper = F.interpolate(deeper, level.shape[2:], mode="nearest")
            attention = self.att_conv(torch.cat([fused, deeper], 1))
            fused = fused * attention[:, :1] + deeper * attention[:, 1:]
        if fused.shape[2:] != size:
            fused = F.interpolate(fused, size, mode="nearest")
        return self.conv2(fused), fused


class KnowledgeReview(nn.Module):
    """Fuses each level of a student with the deeper levels, beginning with the deepest.

    Args:
        of_student: Channels of the student's levels, deepest first.
        of_teacher: Channels of the teacher's levels, deepest first.
    """

    def __init__(self, of_student: Sequence[int], of_teacher: Sequence[int]) -> None:
        super().__init__()
        width = min(MAXIMAL_WIDTH, of_student[0])
        self.abf = nn.ModuleList(
            AttentionFusion(inputs, width, outputs, fuse=place > 0)
            for place, (inputs, outputs) in enumerate(zip(of_student, of_teacher, strict=True))
        )

    def forward(self, of_student: Sequence[Tensor], of_teacher: Sequence[Tensor]) -> list[Tensor]:
        """Return one map for each level, deepest first, with the shape of the teacher's map."""
        fused, deeper = [], None
        for level, target, fusion in zip(of_student, of_teacher, self.abf, strict=True):
            out, deeper = fusion(level, deeper, target.shape[2:])
            fused.append(out)
        return fused


class ReviewKD(FeatureDistiller):
    """Compare the teacher's map at each level with a fusion of the student's maps at this and all deeper levels.

    The loss is ``CE + reviewkd_weight * min((epoch + 1) / warmup_epochs, 1) * sum over levels of HCL(ABF(s, deeper),
    t)``. The levels are the stages, and the embedding as a 1x1 map. s and t are the maps of student and teacher at a
    level, and `deeper` is the student's fused map of the next deeper level. ABF is the attention-based fusion of
    `AttentionFusion`. HCL is the hierarchical context loss (`hcl_loss`): a weighted mean of squared errors at several
    resolutions. As in the authors' code for CIFAR-100, the student's maps are taken after the ReLU and the teacher's
    maps before the ReLU. Epochs are counted from 0. The warm-up is that of mdistiller, in which the first epoch already
    has a part of the weight; in the authors' code the first epoch has weight 0.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        reviewkd_weight: Weight of the levels' losses. The authors' scripts use 0.6 to 8, depending on the pair of
            networks.
        warmup_epochs: Number of epochs over which the weight rises; 0: the weight has its full value from the start.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If the teacher's `Activations` lack the maps before the ReLU.
    """

    reads = ("logits", "embedding", "preactivations")

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        reviewkd_weight: Weight = 5.0,
        warmup_epochs: NonNegativeInt = 20,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.reviewkd_weight = reviewkd_weight
        self.warmup_epochs = warmup_epochs
        self.pairs = pair_stages(self)
        of_student, of_teacher = _collect_levels(self.pairs, *run_both_on_blank_images(self))
        self.review = KnowledgeReview(
            [level.shape[1] for level in of_student], [level.shape[1] for level in of_teacher]
        )

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy, Hinton's term if it has a weight, and one term for each level."""
        terms = self.task_terms(student, teacher, batch)
        weight = self.reviewkd_weight * ramp_up(self.current_epoch, self.warmup_epochs)
        of_student, of_teacher = _collect_levels(self.pairs, student, teacher)
        names = ["embedding", *(pair.name for pair in reversed(self.pairs))]
        for name, fused, target in zip(names, self.review(of_student, of_teacher), of_teacher, strict=True):
            terms[f"reviewkd_{name}"] = weight * hcl_loss(fused, target)
        return terms


def _collect_levels(
    pairs: Sequence[StagePair], student: Activations, teacher: Activations
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the compared maps of both networks, deepest first."""
    of_student, of_teacher = ([computed.embedding[:, :, None, None]] for computed in (student, teacher))
    for pair in reversed(pairs):
        of_student.append(student.stages[pair.student])
        of_teacher.append(get_preactivations(teacher, "teacher")[pair.teacher])
    return of_student, of_teacher
