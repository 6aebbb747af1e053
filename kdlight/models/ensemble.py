"""Use several teachers as one.

Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531).
"""

__all__ = ["Ensemble"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlight.errors import UserError
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.weights import load_weights


class Ensemble(Classifier):
    """Several classifiers of the same classes, used as one: their predictions are averaged.

    The logits of the ensemble are the logarithms of the mean of the members' probabilities. Its embedding is the
    concatenation of the members' embeddings, and each of its stages concatenates the members' maps over the channels.
    The ensemble has as many stages as the member with the fewest stages. `Activations.member_logits` has each member's
    logits: methods that soften the teacher's predictions need them, because the mean of the members' softmaxes at one
    temperature cannot be computed from their mean at another temperature.

    Args:
        members: The classifiers, as many as memory allows; they run one after the other.
        weights: For each member, the path of a file that `load_weights` reads. None: the members are trained already,
            or the weights of the whole ensemble are loaded from one file later.

    Raises:
        UserError: If there are no members, their numbers of classes differ, or `weights` is not as long as `members`.
    """

    stage_names = ()  # no single submodule computes a stage

    def __init__(self, members: Sequence[Classifier], weights: Sequence[str] | None = None) -> None:
        classes = [member.num_classes for member in members]
        if len(set(classes)) != 1:
            raise UserError(f"expected one or more members, all with the same number of classes, got {classes}")
        if weights is not None and len(weights) != len(members):
            raise UserError(
                f"expected a path of weights for each of {len(members)} members, got {len(weights)}; give one path each"
            )
        super().__init__(classes[0], members[0].image_shape)
        for member, path in zip(members, weights or (), strict=False):
            load_weights(member, path)
        self.members = nn.ModuleList(members)
        self.has_weights = weights is not None

    def activations(self, images: Tensor) -> Activations:
        computed = [member.activations(images) for member in self.members if isinstance(member, Classifier)]
        logits = tuple(of_member.logits for of_member in computed)
        embedding = torch.cat([of_member.embedding for of_member in computed], dim=1)
        stages = join_stages([of_member.stages for of_member in computed])
        return Activations(average_softened_logits(logits, 1.0), embedding, stages, member_logits=logits)

    @property
    def head(self) -> nn.Module:
        raise UserError(f"an ensemble has no head, but each of its {len(self.members)} members has one: take a member")


def join_stages(member_stages: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Concatenate the members' maps of each stage over their channels.

    The members' deepest stages belong together, then their second deepest stages, and so on.

    Args:
        member_stages: For each member its maps (batch, channels, height, width), the shallowest first. The members'
            channels may differ. If their heights or widths differ, the maps are average-pooled to the smallest.

    Returns:
        The joined maps (batch, sum of channels, height, width), the shallowest first: one for each stage of the member
        with the fewest stages.
    """
    shared = min(map(len, member_stages))
    joined = []
    for maps in zip(*(stages[len(stages) - shared :] for stages in member_stages), strict=True):
        size = min(a_map.shape[2] for a_map in maps), min(a_map.shape[3] for a_map in maps)
        pooled = [a_map if a_map.shape[2:] == size else F.adaptive_avg_pool2d(a_map, size) for a_map in maps]
        joined.append(torch.cat(pooled, dim=1))
    return tuple(joined)


def average_softened_logits(member_logits: Sequence[Tensor], temperature: float | Tensor) -> Tensor:
    """Average the members' softmaxes at a temperature, and return logits (batch, classes) of the mean.

    The softmax of these logits at the same temperature is the mean. The softmax of the members' mean logits is another
    distribution: the normalised geometric mean of the members' softmaxes. The difference of the two distributions
    vanishes as the temperature goes to infinity.

    Args:
        member_logits: The logits (batch, classes) of each member; those of a single member are returned unchanged.
        temperature: T, positive; infinity gives the mean of the logits.
    """
    if len(member_logits) == 1:
        return member_logits[0]
    if not isinstance(temperature, Tensor) and math.isinf(temperature):
        return torch.stack(tuple(member_logits)).mean(0)
    logarithms = torch.stack(
        [
            F.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature, dim=1)
            for logits in member_logits
        ]
    )
    return (logarithms.logsumexp(0) - math.log(len(member_logits))) * temperature
