"""The feature maps before the ReLU that ends each stage, for the methods that compare those."""

from torch import Tensor

from kdlight.errors import UserError
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier


def get_preactivations(computed: Activations, owner: str) -> tuple[Tensor, ...]:
    """Return the maps of all stages before their ReLU.

    Args:
        computed: What a network computed.
        owner: "student" or "teacher", for the message.

    Raises:
        UserError: If the network has none.
    """
    if computed.preactivations is None:
        raise UserError(
            f"expected a {owner} that shows its feature maps before the ReLU of each stage (a ResNet, a wrn, a vgg, a "
            "ShuffleNet), got one that does not; choose another network, or a method that compares maps after the ReLU"
        )
    return computed.preactivations


def get_student_preactivations(computed: Activations, student: Classifier) -> tuple[Tensor, ...]:
    """Return the student's maps before their ReLU; linear bottlenecks, without a ReLU, as they are, like RepDistiller.

    Raises:
        UserError: If the network has none.
    """
    return computed.stages if student.linear_stages else get_preactivations(computed, "student")
