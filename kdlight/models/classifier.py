"""The interface of all networks, kdlight's own and those of other libraries."""

__all__ = ["Classifier"]

from abc import ABC, abstractmethod

from torch import Tensor, nn

from kdlight.arguments import ArgumentRecord
from kdlight.errors import UserError
from kdlight.models.activations import Activations

ImageShape = tuple[int, int, int]

CIFAR_SHAPE: ImageShape = (3, 32, 32)
PHOTOGRAPH_SHAPE: ImageShape = (3, 224, 224)


class Classifier(ArgumentRecord, nn.Module, ABC):
    """An image classifier that also gives the values it computes on the way to the logits.

    Attributes:
        num_classes: The number of logits.
        image_shape: (channels, height, width) of the images for which the network is made. Most networks also take
            other heights and widths.
        head_name: The name of the submodule that turns the embedding into logits.
        stage_names: The names of the submodules that compute the stages, in order.
        linear_stages: True if no ReLU follows the stages. A stage's map then also serves as its preactivation.
        has_weights: Whether the network was built with trained weights, including those of its head, so that it can be
            a teacher.
    """

    head_name: str
    stage_names: tuple[str, ...]
    linear_stages: bool = False
    has_weights: bool = False

    def __init__(self, num_classes: int, image_shape: ImageShape) -> None:
        super().__init__()
        if num_classes is None:  # the command line reads num_classes from the data, if the data's files exist
            raise UserError(
                f"{type(self).__name__}: expected num_classes, got None; set it, or choose data whose files exist"
            )
        if num_classes < 1 or min(image_shape) < 1:
            raise UserError(
                f"{type(self).__name__}: expected num_classes and the sizes of image_shape to be 1 or more, got "
                f"{num_classes} and {tuple(image_shape)}"
            )
        self.num_classes = num_classes
        self.image_shape = image_shape

    @abstractmethod
    def activations(self, images: Tensor) -> Activations:
        """Return the logits of a batch of images, and the values computed on the way to the logits."""

    def forward(self, images: Tensor) -> Tensor:
        return self.activations(images).logits

    @property
    def head(self) -> nn.Module:
        """The submodule that turns the embedding into logits."""
        return self.get_submodule(self.head_name)

    def get_norms_before_relu(self) -> tuple[nn.BatchNorm2d, ...]:
        """Return for each stage the last batch norm before the ReLU that ends the stage.

        In wide ResNets, whose stages do not end with a ReLU, this is the batch norm that follows the stage.

        Raises:
            UserError: If the network has stages without such a batch norm, or its batch norms are not known.
        """
        raise UserError(
            f"{type(self).__name__} does not say which batch norm comes before the ReLU of each stage: take a ResNet, "
            "a wrn or a vgg"
        )


def require_classifier(role: str, network: object) -> None:
    """Refuse networks that are no `Classifier`.

    Args:
        role: What the network is to be, such as "student", for the message.
        network: The network.

    Raises:
        UserError: If the network is no `Classifier`.
    """
    if not isinstance(network, Classifier):
        hint = "; wrap it: kdlight.models.Tapped(model, image_shape=…)" if isinstance(network, nn.Module) else ""
        given = type(network).__name__ if isinstance(network, nn.Module) else repr(network)
        raise UserError(f"{role}: expected a network of kdlight.models (a Classifier), got {given}{hint}")
