"""VID: Ahn, Hu, Damianou, Lawrence, Dai, "Variational Information Distillation", CVPR 2019 (arXiv 1904.05835)."""

__all__ = ["VID"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from kdlight.data.base.batch import Batch
from kdlight.losses.parts.reduction import Reduction
from kdlight.losses.vid import vid_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.filtered_distiller import Initialisation
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.zoo.initialisation import draw_kaiming_uniform
from kdlight.ranges import Weight
from kdlight.unpack import Unpack

MINIMAL_VARIANCE = 1e-5
INITIAL_VARIANCE = 5.0


class VIDRegressor(nn.Module):
    """Predicts a Gaussian for the teacher's map: the mean mu from the student's map, and a variance per channel.

    The mean is computed by three 1x1 convolutions without bias, with ReLU between them, as in RepDistiller. With
    `norm`, each of the first two convolutions has twice as many output channels as the teacher's map and is followed by
    a batch norm, as in the paper on RID (arXiv 2411.07483), which compares RID with VID. The variance of channel c is
    softplus(a_c) + 1e-5, where a_c is initialised so that the variance is 5. a_c is trained, as in RepDistiller;
    mdistiller's optimizer does not train it.

    Args:
        student_channels: Channels of the student's map.
        teacher_channels: Channels of the teacher's map.
        norm: Whether the first two convolutions are twice as wide and have batch norms, as described above.
    """

    def __init__(self, student_channels: int, teacher_channels: int, *, norm: bool = False) -> None:
        super().__init__()
        width = 2 * teacher_channels if norm else teacher_channels
        layers: list[nn.Module] = []
        for inputs in (student_channels, width):
            layers += [nn.Conv2d(inputs, width, 1, bias=False), *([nn.BatchNorm2d(width)] if norm else []), nn.ReLU()]
        self.mean = nn.Sequential(*layers, nn.Conv2d(width, teacher_channels, 1, bias=False))
        self.raw_variance = nn.Parameter(
            torch.full((teacher_channels,), math.log(math.expm1(INITIAL_VARIANCE - MINIMAL_VARIANCE)))
        )

    @property
    def variance(self) -> Tensor:
        """One positive number per teacher channel, (channels,)."""
        return softplus(self.raw_variance) + MINIMAL_VARIANCE

    def forward(self, student_map: Tensor) -> Tensor:
        """Compute mu, (batch, teacher channels, height, width)."""
        mean: Tensor = self.mean(student_map)
        return mean


class VID(FeatureDistiller):
    """Predict the teacher's feature maps from the student's, with a learned variance per channel.

    The loss is ``CE + vid_weight * sum over stages of 1/2 mean[(mu(s) - t)^2 / v + log v]``, where s and t are the maps
    of student and teacher, mu is the regressor and v the variance. RepDistiller takes the mean over all elements, with
    weight 1; the VID paper and the RID paper (arXiv 2411.07483) write a sum over channels and positions. In the RID
    paper, which has VID as a baseline, the weight is 100 and the regressors have batch norms.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        vid_weight: Weight of the regression's negative log-likelihood.
        stages: Which pairs of stages to compare: 0 is the shallowest pair, -1 the deepest; null: all pairs.
            `pair_stages` pairs the deepest stages of the two networks, then their second deepest stages, and so on.
        reduction: "mean" over all elements, or "sum" over a sample's elements and mean over the batch.
        regressor_norm: Build the regressors as in the RID authors' VID: with batch norms, and with inner layers that
            have twice as many channels as the teacher's map.
        initialisation: How the regressors' weights are drawn. "torch": by torch's own rule. "authors": as the authors
            of RID draw them for VID, from He's uniform distribution with ``mode="fan_out"``
            (`torch.nn.init.kaiming_uniform_`). With six labelled digits per class, three seeds and 120 epochs
            (``kdlight ablate digits_initialisation.yaml``), the test accuracy with "authors" minus that with "torch" is
            +1.30 points (95 % interval -3.30 to +5.89).
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "member_logits", "stages")
    takes_ensembles = True

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        vid_weight: Weight = 1.0,
        stages: Sequence[int] | None = None,
        reduction: Reduction = "mean",
        regressor_norm: bool = False,
        initialisation: Initialisation = "torch",
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.vid_weight = vid_weight
        self.reduction = reduction
        self.pairs = pair_stages(self, stages)
        self.regressors = nn.ModuleList(
            VIDRegressor(pair.student_shape[0], pair.teacher_shape[0], norm=regressor_norm) for pair in self.pairs
        )
        if initialisation == "authors":
            draw_kaiming_uniform(self.regressors)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `FeatureDistiller`, such as the cross-entropy, and one term for each pair of stages."""
        terms = self.task_terms(student, teacher, batch)
        for pair, regressor in zip(self.pairs, self.regressors, strict=True):
            of_student, of_teacher = pair.pool_maps(student, teacher)
            assert isinstance(regressor, VIDRegressor)
            loss = vid_loss(regressor(of_student), of_teacher, regressor.variance, reduction=self.reduction)
            terms[f"vid_{pair.name}"] = self.vid_weight * loss
        return terms
