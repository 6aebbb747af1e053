"""What methods with filters make of the features, and what their filters and heads certify.

Dissanayake et al., AISTATS 2025 (arXiv 2411.07483), section 4: RID bounds the redundant information from below by the
intersection information of Griffith and Ho, max I(Y;Q) over Q that both sources determine, with Q = f_t(T) and the
constraint relaxed to a distance between f_t(T) and f_s(S).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.methods.base.filtered import FilteredDistiller
from kdlight.models.activations import Activations


class Filtered:
    """Runs the filters, and sums up what they certify about the images that they are run on.

    Args:
        method: Has the filters.
    """

    def __init__(self, method: FilteredDistiller) -> None:
        self.method = method
        self.names = [f"stage{pair.student + 1}" for pair in method.pairs]
        self._samples = 0
        self._sums: dict[str, list[Tensor]] = {}

    def maps(self, student: Activations, teacher: Activations) -> dict[str, tuple[Tensor, Tensor]]:
        """f_s(S) and f_t(T) by stage, (batch, channels, height, width) each."""
        filtered = {}
        for place, name in enumerate(self.names):
            of_student = self.method.filter_student(place, student, teacher)
            filtered[name] = (of_student, self.method.filter_teacher(place, student, teacher))
        return filtered

    def count(self, maps: dict[str, tuple[Tensor, Tensor]], target: Tensor) -> None:
        """Add a batch to the sums."""
        self._samples += len(target)
        for head, (name, (of_student, of_teacher)) in zip(self.method.teacher_heads, maps.items(), strict=True):
            first, second = of_teacher.float(), of_student.float()
            loss = F.cross_entropy(head(of_teacher).float(), target.to(first.device), reduction="sum")
            batch = (loss, (first - second).square().sum(), first.square().sum(), first.sum(dim=0))
            sums = self._sums.setdefault(name, [torch.zeros((), dtype=torch.float64)] * len(batch))
            self._sums[name] = [old + new.cpu().double() for old, new in zip(sums, batch, strict=True)]

    def certificates(self, label_entropy: float) -> dict[str, dict[str, float]]:
        """By stage what the counted images say.

        ``certified_information``: H(Y) - CE(g_t(f_t(T))) in bits, at most I(Y; f_t(T)) (Barber and Agakov, 2003).
        ``constraint_slack``: E||f_t(T) - f_s(S)||^2 as a fraction of the variance of f_t(T), summed over its elements:
        0 where the constraint is met, 1 where f_s(S) is no better than f_t(T)'s mean. The information is redundant
        as far as the slack is near 0. What is not finite is left out.

        Args:
            label_entropy: H(Y) of the counted images, in bits.
        """
        found = {}
        for name, (loss, distance, square, total) in self._sums.items():
            variance = square - total.square().sum() / self._samples
            certified = label_entropy - float(loss) / self._samples / math.log(2)
            certificate = {"certified_information": certified, "constraint_slack": float(distance / variance)}
            found[name] = {key: value for key, value in certificate.items() if math.isfinite(value)}
        return found
