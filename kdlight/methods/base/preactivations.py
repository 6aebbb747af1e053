"""The feature maps before the ReLU at the end of each stage, for methods that compare these maps."""

from torch import Tensor

from kdlight.errors import UserError
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier


def get_preactivations(computed: Activations, owner: str) -> tuple[Tensor, ...]:
    """Return the maps of all stages before their ReLU.

    Args:
        computed: The activations of a network.
        owner: "student" or "teacher", for the error message.

    Raises:
        UserError: If the network does not return such maps.
    """
    if computed.preactivations is None:
        raise UserError(
            f"expected a {owner} that shows its feature maps before the ReLU of each stage (a ResNet, a wrn, a vgg, a "
            "ShuffleNet), got one that does not; choose another network, or a method that compares maps after the ReLU"
        )
    return computed.preactivations


def get_student_preactivations(computed: Activations, student: Classifier) -> tuple[Tensor, ...]:
    """Return the student's maps before their ReLU.

    If the stages end without a ReLU (linear bottlenecks), their maps are returned unchanged, as in RepDistiller.

    Raises:
        UserError: If the network does not return such maps.
    """
    return computed.stages if student.linear_stages else get_preactivations(computed, "student")
