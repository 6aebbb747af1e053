"""RID: Dissanayake, Hamman, Halder, Sucholutsky, Zhang, Dutta, "Quantifying Knowledge Distillation Using Partial
Information Decomposition", AISTATS 2025 (arXiv 2411.07483). Authors' code: github.com/pasandissanayake/kd-rid.

Partial information decomposition (PID) splits the information of teacher and student about the label into redundant
information, which both have, the unique information of each, and synergistic information, which only both together
have.
"""

__all__ = ["RID"]

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from kdlight.data.base.batch import Batch
from kdlight.losses.parts.reduction import Reduction
from kdlight.losses.rid import rid_mismatch, rid_variance_penalty
from kdlight.methods.base.filtered_distiller import FilteredDistiller, FilteredDistillerArgumentsWithoutCE
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeFloat, NonNegativeInt, OpenFraction, PositiveInt, Weight
from kdlight.unpack import Unpack

INITIAL_RAW_VARIANCE = 5.0
MINIMAL_VARIANCE = 1e-3

Phase = Literal["warmup", "filters", "student"]


class FurtherTarget(NamedTuple):
    """A target that RID distils in addition to the label.

    Attributes:
        classes: The number of classes of the target.
        weight: The weight w of the target in the sum over targets; the label has the weight 1.
    """

    classes: int
    weight: float = 1.0


class RID(FilteredDistiller):
    """Redundant information distillation: teach the student only what the teacher knows about the label.

    At each stage, a filter f_t maps the teacher's features T to a representation from which a head g_t predicts the
    label, and a filter f_s maps the student's features S to the same space. Each channel c of this space has a trained
    variance sigma_c. Training (Algorithm 1 of the paper) has three parts:

    - The warm-up trains f_t and g_t with ``sum over stages of CE(g_t(f_t(T)))``.
    - Cycles of `cycle_epochs` follow. A cycle begins with phase 1, which takes the fraction `filter_ratio` of the
      cycle's epochs. Phase 1 trains f_t and g_t with
      ``sum over stages of (CE(g_t(f_t(T))) + filter_mismatch_weight * mismatch)`` (equation 10).
    - The rest of a cycle is phase 2. It trains the student, f_s and sigma with
      ``lambda1 * CE + lambda2 * sum over stages of (||sigma||^2 + mismatch)`` (equations 11 and 12).

    The mismatch is the sum over channels and positions of E[(f_t(T) - f_s(S))^2 / sigma_c]. Modules that a phase does
    not train are in evaluation mode, so that the statistics of their batch norms do not change, either.

    The paper and the authors' code differ in the following points. The defaults follow the paper:

    - The paper sums over channels and positions, the code takes means (``reduction: mean``). With means, the mismatch
      is channels * height * width times smaller, and the variance penalty ||sigma||^2 is channels times smaller, so
      that the penalty weighs height * width times more relative to the mismatch. The code's lambda2 = 10 is meant for
      these means; with sums, lambda2 has to be much smaller.
    - The paper warms up for n_w epochs before the first cycle. In the code, phase 1 of the first cycle is the warm-up
      (``warmup_epochs: null``).
    - In the code, everything but the teacher stays in training mode (``moving_statistics: true``). So the batch norms
      of student and f_s in phase 1, and of f_t in phase 2, normalise by the statistics of the batch and update their
      running statistics.
    - The code draws the initial weights of filters and heads from another distribution (``initialisation: authors``).
    - The code passes `LambdaLR` an absolute learning rate where a factor is expected, so the student's effective
      learning rate is the square of the declared one. The code also never steps this schedule, so the learning rate
      stays constant. kdlight's configs/cifar10/rid_authors.yaml sets the learning rate to this square.

    Filters and heads have the layers of the authors' code (`FilteredDistiller`). sigma_c = softplus(a_c) + 1e-3, where
    a_c starts at 5.

    There may be several targets Y_i (`further_targets`; the paper has only the label). Each stage then has one f_t for
    all targets, and a head g_i for each. Phase 1 and the warm-up have ``sum over targets of w_i CE(Y_i, g_i(f_t(T)))``
    in place of the label's cross-entropy. Red(Y : T, S) is the redundant information about Y. If the mismatch is 0, the
    sum of ``w_i (H(Y_i) - CE_i)`` is a lower bound of the sum of ``w_i Red(Y_i : T, S)``, where H is the entropy and
    CE_i the cross-entropy of g_i. The callback `PIDMonitor` measures one of these redundancies, for the target in its
    argument ``target``.

    There may be several teachers (an `Ensemble`; the paper only mentions this as future work, so the form is our
    choice). T = (T_1, …, T_K) is then the concatenation of the members' maps of a stage, so that f_t sees what all
    members know about the label, and Red(Y : T, S) is the redundancy with all members together. `PIDMonitor` estimates
    it by clustering T. The clusters depend mostly on the member whose maps have the largest values, because the
    members' maps are not brought to one scale.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        warmup_epochs: n_w, epochs of warm-up before the first cycle; null: phase 1 of the first cycle is the warm-up.
        cycle_epochs: q, number of epochs of a cycle.
        filter_rate: Factor on the optimizer's learning rate for teacher filters and heads.
        filter_ratio: r, the fraction of a cycle that is phase 1: the epochs with ``(epoch - n_w) % q < r * q``, where
            n_w is 0 if `warmup_epochs` is null.
        lambda1: Weight of the student's cross-entropy in phase 2.
        lambda2: Weight of variance penalty and mismatch in phase 2; the paper does not state its value.
        filter_mismatch_weight: Weight of the mismatch in phase 1; 1 in paper and code.
        further_targets: Further targets of the data by name, for CIFAR-100 ``{coarse: {classes: 20}}``.
        reduction: "sum" over a sample's elements and mean over the batch (the paper), or "mean" over all elements (the
            authors' code).
        moving_statistics: Also set modules to training mode in phases that do not train them, as the authors' code
            does. The running statistics of their batch norms then change in these phases, too.
        base: Passed on to `FilteredDistiller`: stages, initialisation, kd_weight, teacher_weights, optimizer, …
    """

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        lambda2: Weight,
        lambda1: Weight = 1.0,
        filter_mismatch_weight: NonNegativeFloat = 1.0,
        filter_rate: NonNegativeFloat = 1.0,
        warmup_epochs: NonNegativeInt | None = 30,
        cycle_epochs: PositiveInt = 30,
        filter_ratio: OpenFraction = 0.25,
        further_targets: dict[str, FurtherTarget] | None = None,
        reduction: Reduction = "sum",
        moving_statistics: bool = False,
        **base: Unpack[FilteredDistillerArgumentsWithoutCE],
    ) -> None:
        super().__init__(student, teacher, ce_weight=lambda1, **base)
        self.lambda2 = lambda2
        self.filter_mismatch_weight = filter_mismatch_weight
        self.filter_rate = filter_rate
        self.warmup_epochs, self.cycle_epochs, self.filter_ratio = warmup_epochs, cycle_epochs, filter_ratio
        self.reduction = reduction
        self.moving_statistics = moving_statistics
        widths = [pair.student_shape[0] for pair in self.pairs]
        self.raw_variances = nn.ParameterList(torch.full((width,), INITIAL_RAW_VARIANCE) for width in widths)
        self.further_targets = further_targets or {}
        self.further_heads = nn.ModuleDict(
            {
                name: nn.ModuleList(self.make_head(pair, target.classes) for pair in self.pairs)
                for name, target in self.further_targets.items()
            }
        )

    def find_phase(self, epoch: int) -> Phase:
        """Return the phase of an epoch. The first epoch is 0."""
        warmup = self.warmup_epochs or 0
        if epoch < warmup:
            return "warmup"
        cycle, place = divmod(epoch - warmup, self.cycle_epochs)
        if place >= self.filter_ratio * self.cycle_epochs:
            return "student"
        return "warmup" if self.warmup_epochs is None and cycle == 0 else "filters"

    def trainable_children(self, epoch: int) -> tuple[nn.Module, ...]:
        """Return the student, its filters and the variances in phase 2; otherwise the teacher's filters and heads."""
        if self.find_phase(epoch) == "student":
            return self.student, self.student_filters, self.raw_variances
        return self.teacher_filters, self.teacher_heads, self.further_heads

    def begin_phase(self) -> None:
        """Begin the phase. With `moving_statistics`, all modules but the teacher are in training mode."""
        super().begin_phase()
        if self.moving_statistics:
            for child in self.children():
                child.train()

    def get_rate_factors(self) -> dict[str, float]:
        """Return `filter_rate` for the modules that phase 1 trains. The authors' code gives them their own rate."""
        return dict.fromkeys(("teacher_filters", "teacher_heads", "further_heads"), self.filter_rate)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the epoch's phase: terms for each stage, and in phase 2 also those of `task_terms`."""
        phase = self.find_phase(self.current_epoch)
        terms = self.task_terms(student, teacher, batch) if phase == "student" else {}
        for place, pair in enumerate(self.pairs):
            from_teacher, name = self.filter_teacher(place, student, teacher), pair.name
            if phase != "student":
                terms[f"head_{name}"] = cross_entropy(self.teacher_heads[place](from_teacher), batch.target)
                for target, (_, weight) in self.further_targets.items():
                    logits = self.further_heads.get_submodule(f"{target}.{place}")(from_teacher)
                    terms[f"{target}_head_{name}"] = weight * cross_entropy(logits, batch.targets[target])
            if phase == "warmup":
                continue
            variance = softplus(self.raw_variances[place]) + MINIMAL_VARIANCE
            from_student = self.filter_student(place, student, teacher)
            mismatch = rid_mismatch(from_student, from_teacher, variance, reduction=self.reduction)
            if phase == "filters":
                terms[f"mismatch_{name}"] = self.filter_mismatch_weight * mismatch
            else:
                terms[f"mismatch_{name}"] = self.lambda2 * mismatch
                terms[f"variance_{name}"] = self.lambda2 * rid_variance_penalty(variance, reduction=self.reduction)
        return terms
