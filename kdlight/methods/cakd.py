"""CAKD: Zhang, Chen, Ning, Yang, Yuan, "CAKD: A Correlation-Aware Knowledge Distillation Framework Based on Decoupling
Kullback-Leibler Divergence", 2024 (arXiv 2410.14741). We could read only the paper's abstract and summaries of the
paper, and no code is public.
"""

__all__ = ["CAKD"]

import functools
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.losses.parts.decoupling import CAKDDivergences, cakd_divergences
from kdlight.losses.parts.masks import mask_target, mask_top
from kdlight.losses.parts.reduction import average_labelled
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArguments
from kdlight.methods.base.schedules import add_warm_up, interpolate_weight, ramp_up
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import NonNegativeFloat, NonNegativeInt, OpenFraction, PositiveFloat, PositiveInt, Weight
from kdlight.unpack import Unpack

EpochWeights = Weight | dict[NonNegativeInt, Weight]
Strong = Literal["target", "top", "target_and_top"]
SampleWeights = Literal["equal", "confidence", "progress"]
WarmsUp = Literal["weight", "learning_rate"]


class CAKD(LogitDistiller):
    """Distil logits and features, each split in strong and weak: ``ce_weight * CE + w(epoch) * sum of D over levels``.

    The levels are the logits and any number of stages. At a stage, the channels, averaged over the positions, take the
    place of the classes. A linear adapter maps the student's channels to as many channels as the teacher has.

    At each level, ``D = level weight * T^2 * mean over samples of (bcd_weight * BCD + alpha * SCD + beta * WCD)``. The
    level weight is `logit_weight` or `feature_weight`. The classes (or channels) are split into a strong set and a weak
    set. The total probability of a set is its mass. BCD, SCD and WCD are KL divergences between teacher and student:
    BCD compares the masses of the two sets, SCD the probabilities within the strong set, and WCD the probabilities
    within the weak set. Let p_s and p_w be the teacher's masses of the strong and the weak set. The KL divergence
    without a split is ``BCD + p_s SCD + p_w WCD``. CAKD replaces p_s by alpha and p_w by beta. w(epoch) grows linearly
    to 1 over the warm-up; if the learning rate warms up instead, w(epoch) is always 1. The three terms of each level
    are logged after multiplication by all their weights.

    The text that we could read states the following: the split of the KL divergence; logits and features are distilled
    together; CE has weight 1; T is 4; there is a warm-up of 20 epochs (we do not know what it raises: the
    distillation's weight or the learning rate); alpha strengthens SCD, and beta strengthens WCD. We chose everything
    else; most of these choices are arguments. With ``stages: []`` and otherwise the default arguments, the loss is that
    of `DKD`. The linear warm-up is that of mdistiller. The strong set of a stage contains the fraction
    `strong_channels` of its channels: those with the largest ``|mean over positions of F dz/dF|``, where F is the
    teacher's map and z the teacher's highest logit.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        strong: The strong set of the logits: the target class, the teacher's `top` classes, or both together. If the
            strong set is only the target, SCD is 0, and unlabelled samples are left out of the logits' level.
        top: How many classes `strong` takes from the teacher: those with its highest logits.
        strong_channels: Fraction of a stage's channels in its strong set.
        stages: Which pairs of stages to compare (see `pair_stages`): 0 is the shallowest, -1 the deepest; null: all.
            []: none, only the logits.
        bcd_weight: Weight of the divergence of the sets' masses.
        alpha: Weight of the divergence within the strong set: a number, or numbers by epoch, such as {0: 1, 100: 4}.
            Between the given epochs, alpha changes linearly.
        beta: Weight of the divergence within the weak set: a number, or numbers by epoch, as for alpha.
        multiply_masses: Multiply each sample's alpha by the teacher's mass of the strong set, and beta by that of the
            weak set. If alpha, beta and `bcd_weight` are 1, the logits' level is then the KL divergence of `KD`.
        sample_weights: A factor by which each sample's alpha and beta are multiplied. "equal": 1. "confidence": the
            teacher's highest probability. "progress": the overlap ``sum of min(p_student, p_teacher)``, which is 1 if
            both networks give the same probabilities.
        logit_weight: Weight of the logits' level; 0 leaves it out.
        feature_weight: Weight of each stage's level.
        temperature: T, which softens the distributions over classes and channels.
        warmup_epochs: Length of the warm-up.
        warms_up: What grows during the warm-up: the weight of all levels, or the learning rate.
        base: Passed on to `LogitDistiller`: ce_weight, standardize_logits, teacher_weights, optimizer, …

    Raises:
        UserError: If `strong`, `sample_weights` or `warms_up` has an unknown value, `strong_channels` is not between 0
            and 1, stages are compared although the teacher is an ensemble or has a cache, or logits are compared
            although student and teacher have different numbers of classes.
    """

    saves_teacher = False
    compares_logits = False  # true would require equal numbers of classes even if only features are compared
    distils = "logits, features"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        strong: Strong = "target",
        top: PositiveInt = 5,
        strong_channels: OpenFraction = 0.5,
        stages: Sequence[int] | None = None,
        bcd_weight: NonNegativeFloat = 1.0,
        alpha: EpochWeights = 1.0,
        beta: EpochWeights = 8.0,
        multiply_masses: bool = False,
        sample_weights: SampleWeights = "equal",
        logit_weight: Weight = 1.0,
        feature_weight: Weight = 1.0,
        temperature: PositiveFloat = 4.0,
        warmup_epochs: NonNegativeInt = 20,
        warms_up: WarmsUp = "weight",
        **base: Unpack[LogitDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        for value, choice in ((strong, Strong), (sample_weights, SampleWeights), (warms_up, WarmsUp)):
            if value not in get_args(choice):
                raise UserError(f"CAKD: expected one of {', '.join(get_args(choice))}, got {value!r}; choose one")
        if logit_weight or sample_weights == "progress":
            self.require_same_classes("CAKD with sample_weights=progress or logit_weight > 0")
        logits_alone = stages is not None and not stages
        if not logits_alone:
            self.require_one_teacher("CAKD with stages (stages: [] compares only logits)")
        self.strong, self.top, self.strong_channels = strong, top, strong_channels
        self.bcd_weight, self.alpha, self.beta = bcd_weight, alpha, beta
        self.multiply_masses, self.sample_weights = multiply_masses, sample_weights
        self.logit_weight, self.feature_weight = logit_weight, feature_weight
        self.temperature = temperature
        self.warmup_epochs = warmup_epochs if warms_up == "weight" else 0
        if warms_up == "learning_rate" and warmup_epochs > 0:
            self.make_scheduler = functools.partial(add_warm_up, schedule=self.make_scheduler, epochs=warmup_epochs)
        self.pairs = [] if logits_alone else pair_stages(self, stages)
        if self.pairs and self.teacher_cache is not None:
            raise UserError(
                "CAKD with stages needs the teacher's gradient, which no teacher cache holds: expected stages or "
                "teacher_cache, got both; set stages: [] or leave teacher_cache out"
            )
        self.adapters = nn.ModuleList(nn.Linear(pair.student_shape[0], pair.teacher_shape[0]) for pair in self.pairs)

    def batch_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms as every distiller does, and record the teacher's autograd graph if stages are compared.

        The gradient of the teacher's highest logit is computed from the graph. With this gradient, the strong channels
        of each stage are chosen. The graph begins at the shallowest compared stage.
        """
        if not self.pairs:
            return super().batch_terms(batch)
        first = min(pair.teacher for pair in self.pairs)
        teacher = self.teacher.activations(batch.images, gradient_from=first)
        return self.loss_terms(self.student.activations(batch.images), teacher, batch)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and three terms for each level."""
        terms = self.task_terms(student, batch)
        sample_weights = self._weigh_samples(student, teacher)
        if self.logit_weight:
            of_student, of_teacher = self.prepare_logits(student, teacher, self.temperature)
            strong = self._mask_strong_classes(of_teacher, batch.target)
            divergences = cakd_divergences(of_student, of_teacher, strong, temperature=self.temperature)
            counted = batch.target if self.strong == "target" else torch.zeros_like(batch.target)
            terms |= self._weigh_divergences("cakd", self.logit_weight, divergences, sample_weights, counted)
        if self.pairs:
            maps = [teacher.stages[pair.teacher] for pair in self.pairs]
            gradients = torch.autograd.grad(teacher.logits.amax(1).sum(), maps)
            for pair, adapter, a_map, gradient in zip(self.pairs, self.adapters, maps, gradients, strict=True):
                relevance = (a_map.detach() * gradient).mean((2, 3)).abs()
                strong = mask_top(relevance, max(1, round(self.strong_channels * relevance.shape[1])))
                pooled = adapter(student.stages[pair.student].mean((2, 3)))
                divergences = cakd_divergences(pooled, a_map.mean((2, 3)), strong, temperature=self.temperature)
                name, counted = f"cakd_{pair.name}", torch.zeros_like(batch.target)
                terms |= self._weigh_divergences(name, self.feature_weight, divergences, sample_weights, counted)
        return terms

    def _mask_strong_classes(self, teacher_logits: Tensor, target: Tensor) -> Tensor:
        if self.strong == "target":
            return mask_target(teacher_logits, target)
        top = mask_top(teacher_logits, self.top)
        if self.strong == "top":
            return top
        return top | (mask_target(teacher_logits, target) & (target >= 0)[:, None])

    def _weigh_samples(self, student: Activations, teacher: Activations) -> Tensor | float:
        if self.sample_weights == "equal":
            return 1.0
        of_teacher = teacher.logits.detach().float().softmax(1)
        if self.sample_weights == "confidence":
            return of_teacher.amax(1)
        return torch.minimum(student.logits.detach().float().softmax(1), of_teacher).sum(1)

    def _weigh_divergences(
        self, name: str, weight: float, divergences: CAKDDivergences, sample_weights: Tensor | float, counted: Tensor
    ) -> dict[str, Tensor]:
        """Return the three terms of a level. Samples for which `counted` is negative are left out."""
        weight = weight * ramp_up(self.current_epoch, self.warmup_epochs) * self.temperature**2
        alpha = interpolate_weight(self.alpha, self.current_epoch) * sample_weights
        beta = interpolate_weight(self.beta, self.current_epoch) * sample_weights
        if self.multiply_masses:
            alpha, beta = alpha * divergences.strong_mass, beta * divergences.weak_mass
        return {
            f"{name}_binary": weight * self.bcd_weight * average_labelled(divergences.binary, counted),
            f"{name}_strong": weight * average_labelled(alpha * divergences.strong, counted),
            f"{name}_weak": weight * average_labelled(beta * divergences.weak, counted),
        }
