"""A teacher whose feature maps are disturbed by noise, which says nothing about the label."""

__all__ = ["NoisyFeatures"]

import torch
from torch import Tensor

from kdlight.errors import UserError
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Fraction, NonNegativeFloat, RangeCheck


class NoisyFeatures(RangeCheck, Classifier):
    """Disturbs the bottom rows of every stage's feature map with normal noise, drawn anew in every forward pass.

    Dissanayake et al. (arXiv 2411.07483), theorem 3.1: let a teacher T = (Z, G) have a part G that says nothing about
    the label Y. Then Red(Y : T, S), the redundant information that T and S both have about Y, is largest for a student
    S that reproduces Z. But the mutual information I(T; S) can be largest for a student that reproduces G.

    This class does what `corrupt_output` of the authors' code does (kd-rid, systems/system_utils.py). The authors'
    scripts all set the fraction to 0 and the standard deviation to 10, so no noise enters the paper's results. As in
    their code, the logits are computed from the undisturbed maps; embedding, preactivations and stem stay undisturbed,
    too.

    Files with weights of the network alone, without this wrapper, can be loaded. The outputs cannot be stored in a
    teacher cache, because the noise is different in every forward pass.

    Args:
        model: The network.
        noise_fraction: The fraction of each stage's rows that is disturbed, counted from the bottom.
        noise_std: Standard deviation of the noise.
        replace: Replace these rows by the noise, instead of adding the noise to them.

    Raises:
        UserError: If a number is out of its range.
    """

    def __init__(
        self, model: Classifier, noise_fraction: Fraction, noise_std: NonNegativeFloat = 10.0, replace: bool = False
    ) -> None:
        super().__init__(model.num_classes, model.image_shape)
        self.model = model
        self.noise_fraction, self.noise_std, self.replace = noise_fraction, noise_std, replace
        self.linear_stages, self.has_weights = model.linear_stages, model.has_weights
        self.stage_names = tuple(f"model.{name}" for name in model.stage_names)
        if not getattr(model, "members", None):  # an ensemble has no head of its own
            self.head_name = f"model.{model.head_name}"

    def activations(self, images: Tensor) -> Activations:
        computed = self.model.activations(images)
        if any(stage.requires_grad for stage in computed.stages):
            raise UserError(
                "NoisyFeatures: expected feature maps that need no gradient, got maps that need one; use NoisyFeatures "
                "for a teacher, not for a student; the method CAKD needs gradients of its teacher's feature maps, too: "
                "set its stages to []"
            )
        return computed._replace(stages=tuple(map(self._disturb, computed.stages)))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits

    def _disturb(self, a_map: Tensor) -> Tensor:
        disturbed = a_map.clone()
        rows = disturbed[:, :, int((1 - self.noise_fraction) * a_map.shape[2]) :]
        noise = self.noise_std * torch.randn_like(rows)
        rows.copy_(noise if self.replace else rows + noise)
        return disturbed
