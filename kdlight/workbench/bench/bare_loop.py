"""The baseline of `kdlight bench`: a plain torch loop, with which the speed of `kdlight fit` is compared.

The loop runs the same networks as `kdlight fit`, in the memory format channels_last, on uint8 images that stay on the
device. Images are cropped, flipped and normalised in batches, not one by one. The teacher runs under `inference_mode`,
the loss is that of the method `KD`, and the optimizer is fused SGD. There is no framework, log, validation, checkpoint
or resume.
"""

import copy
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlight.models.classifier import Classifier


class Recipe(NamedTuple):
    """The hyper-parameters of the loop; the defaults are those of `KD` and of the usual CIFAR-100 recipe.

    With ``padding`` 0 and ``mirror`` false, images are neither cropped nor flipped.
    """

    batch_size: int = 64
    padding: int = 4
    mirror: bool = True
    mean: tuple[float, ...] = (0.5071, 0.4867, 0.4408)
    std: tuple[float, ...] = (0.2675, 0.2565, 0.2761)
    temperature: float = 4.0
    ce_weight: float = 0.1
    kd_weight: float = 0.9
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    autocast: torch.dtype | None = None


class BareLoop:
    """A training loop of KD, or of the cross-entropy alone if there is no teacher.

    Args:
        student: The student, which is copied.
        teacher: The teacher, which is copied; None for supervised training. If teacher and student have different
            numbers of classes, KD's term cannot be computed and is left out. The teacher still runs, so that its time
            counts.
        images: (n, channels, height, width) uint8, on the device.
        target: (n,) int64, on the device.
        recipe: The hyper-parameters.
        given_logits: The teacher's logits (n, classes), on the device, to use instead of running the teacher.
    """

    def __init__(
        self,
        student: Classifier,
        teacher: Classifier | None,
        images: Tensor,
        target: Tensor,
        recipe: Recipe,
        *,
        given_logits: Tensor | None = None,
    ) -> None:
        self.images, self.target, self.recipe, self.given_logits = images, target, recipe, given_logits
        self.student = self._copy(student).train()
        self.teacher = None if teacher is None or given_logits is not None else self._copy(teacher).eval()
        self.optimizer = torch.optim.SGD(
            self.student.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        shape = (1, images.shape[1], 1, 1)
        self._mean = 255 * torch.tensor(recipe.mean, device=images.device).view(shape)
        self._scale = 1 / (255 * torch.tensor(recipe.std, device=images.device).view(shape))
        self._order = torch.empty(0, dtype=torch.int64, device=images.device)

    def run(self, steps: int) -> int:
        """Train for some steps and return how many images they used. After each epoch the images are shuffled anew."""
        size, padding = self.recipe.batch_size, self.recipe.padding
        for _ in range(steps):
            if len(self._order) < size:
                self._order = torch.randperm(len(self.images), device=self.images.device)
            index, self._order = self._order[:size], self._order[size:]
            shifts = torch.randint(0, 2 * padding + 1, (len(index), 2), device=index.device)
            flipped = torch.rand(len(index), device=index.device) < 0.5
            self.step(index, shifts, flipped)
        return steps * size

    def step(self, index: Tensor, shifts: Tensor, flipped: Tensor) -> Tensor:
        """Train on the images at `index` (batch,), cropped at `shifts` (batch, 2), mirrored where `flipped` is true.

        Returns:
            The detached loss.
        """
        images = self.augment(self.images[index], shifts, flipped)
        kind = self.recipe.autocast
        with torch.autocast(images.device.type, kind, enabled=kind is not None):
            soft = self._compute_soft_targets(images, index)
            logits = self.student(images)
        loss = self._compute_loss(logits.float(), soft, self.target[index])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def augment(self, images: Tensor, shifts: Tensor, flipped: Tensor) -> Tensor:
        """Crop, mirror and normalise images; return them in channels_last."""
        count, channels, height, width = images.shape
        padding = self.recipe.padding
        if padding:
            padded = F.pad(images, (padding, padding, padding, padding))
            rows = shifts[:, :1] + torch.arange(height, device=images.device)
            columns = shifts[:, 1:] + torch.arange(width, device=images.device)
            places = (rows[:, :, None] * padded.shape[-1] + columns[:, None, :]).view(count, 1, height * width)
            images = padded.flatten(2).gather(2, places.expand(-1, channels, -1)).view(images.shape)
        if self.recipe.mirror:
            images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
        normalized = images.to(torch.float32).sub_(self._mean).mul_(self._scale)
        return normalized.contiguous(memory_format=torch.channels_last)

    def _compute_soft_targets(self, images: Tensor, index: Tensor) -> Tensor | None:
        if self.given_logits is not None:
            return self.given_logits[index]
        if self.teacher is None:
            return None
        with torch.inference_mode():
            logits: Tensor = self.teacher(images)
        return logits

    def _compute_loss(self, logits: Tensor, soft: Tensor | None, target: Tensor) -> Tensor:
        if soft is None:
            return F.cross_entropy(logits, target)
        hard, temperature = F.cross_entropy(logits, target), self.recipe.temperature
        if soft.shape != logits.shape:
            return self.recipe.ce_weight * hard
        teacher = F.log_softmax(soft.float() / temperature, dim=1)
        divergence = F.kl_div(
            F.log_softmax(logits / temperature, dim=1), teacher, reduction="batchmean", log_target=True
        )
        return self.recipe.ce_weight * hard + self.recipe.kd_weight * temperature**2 * divergence

    def _copy(self, network: Classifier) -> nn.Module:
        copied: nn.Module = copy.deepcopy(network).to(self.images.device)
        return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def draw_random_images(
    shape: tuple[int, int, int], classes: int, *, batch_size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Draw images (n, *shape) uint8 and targets (n,) at random; the time of a step does not depend on their content.

    As many images are drawn as fit into 32 MiB, but at least four batches.
    """
    count = max(4 * batch_size, 2**25 // math.prod(shape))
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, device=device)
    return images, torch.randint(0, classes, (count,), device=device)
