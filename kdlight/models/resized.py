"""A network for which the images are resized."""

__all__ = ["Resized"]

from torch import Tensor, nn
from torch.nn import functional

from kdlight.models.activations import Activations
from kdlight.models.classifier import CIFAR_SHAPE, Classifier, ImageShape


class Resized(Classifier):
    """Resizes images before a network sees them, so that teacher and student may have different resolutions.

    Set the image size of the data to the larger resolution, and wrap the network that needs the smaller resolution.

    Args:
        model: The network.
        size: Height and width of the images that the network sees.
        image_shape: (channels, height, width) of the images of the data.
    """

    def __init__(self, model: Classifier, size: int, image_shape: ImageShape = CIFAR_SHAPE) -> None:
        super().__init__(model.num_classes, image_shape)
        self.model = model
        self.size = size
        self.linear_stages, self.has_weights = model.linear_stages, model.has_weights
        self.stage_names = tuple(f"model.{name}" for name in model.stage_names)
        if not getattr(model, "members", None):  # an ensemble has no head of its own
            self.head_name = f"model.{model.head_name}"

    def activations(self, images: Tensor) -> Activations:
        return self.model.activations(self._resize(images))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(self._resize(images))
        return logits

    def _resize(self, images: Tensor) -> Tensor:
        if images.shape[-2:] == (self.size, self.size):
            return images
        return functional.interpolate(images, size=(self.size, self.size), mode="bilinear", antialias=True)

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        return self.model.get_norms_before_relu()
