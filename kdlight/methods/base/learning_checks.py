"""Refuse runs in which the student cannot learn or does not fit the data, and loss terms of a wrong form."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from kdlight.errors import UserError
from kdlight.ranges import read_weights

if TYPE_CHECKING:
    from kdlight.methods.base.learner import Learner

SUM = "loss"  # the name under which the sum of the terms is logged


def require_matching_data(learner: "Learner") -> None:
    """Refuse data with more classes than the student, and warn of other differences between student and data.

    A student may have more classes on purpose, for example if its teacher knows further classes. A student that was
    built for images of another shape may run, but methods size their own modules for that shape.

    Args:
        learner: A method with its trainer.

    Raises:
        UserError: If the data have more classes than the student.
    """
    data, shape = getattr(learner.trainer, "datamodule", None), tuple(learner.student.image_shape)
    of_data = tuple(getattr(data, "image_shape", shape))
    if of_data != shape:
        rank_zero_warn(
            f"the student was built for images of the shape {shape}, but those of the data have the shape {of_data}; "
            "give the network the data's image_shape"
        )
    of_student = learner.student.num_classes
    classes = getattr(data, "num_classes", of_student)
    if classes == of_student:
        return
    remedy = "leave the option out to take the number from the data"
    if classes > of_student:
        raise UserError(f"model.student.num_classes: expected {classes} as in the data, got {of_student}; {remedy}")
    rank_zero_warn(
        f"model.student.num_classes is {of_student}, but the data have only {classes} classes; if this is a mistake, "
        f"{remedy}"
    )


def require_terms(learner: "Learner", terms: object) -> None:
    """Refuse loss terms of a wrong type or shape.

    Args:
        learner: A method.
        terms: The loss terms that it returned.

    Raises:
        UserError: If the terms are not a mapping from names to scalar tensors, if there are none, or if one has the
            name under which their sum is logged.
    """
    method = type(learner).__name__
    if not isinstance(terms, Mapping):
        raise UserError(f"{method}: expected the loss terms as a dict of scalar tensors, got {_describe(terms)}")
    if not terms or SUM in terms:
        given = "none" if not terms else f"one with the name {SUM!r}, under which the sum of all terms is logged"
        raise UserError(f"{method}: expected one or more loss terms with names of their own, got {given}")
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.ndim:
            raise UserError(f"{method}: expected the loss term {name!r} to be a scalar tensor, got {_describe(term)}")


def _describe(term: object) -> str:
    return f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__


def require_learning(learner: "Learner") -> None:
    """Refuse a fit that would not train the student.

    Args:
        learner: A method with its trainer.

    Raises:
        UserError: If all weights of the loss are 0, or the run ends before the epochs in which the student learns.
    """
    weights, name = read_weights(learner), type(learner).__name__
    if weights and not any(weights.values()):
        raise UserError(f"{name} learns nothing: expected one or more of {', '.join(weights)} above 0, got 0 for all")
    epochs = learner.trainer.max_epochs or -1
    # `map` is lazy: epochs after the first one in which the student learns are not computed.
    phases = map(learner.trainable_children, range(epochs))
    if epochs > 0 and not any(phase is None or learner.student in phase for phase in phases):
        arguments = [name for name in inspect.signature(type(learner).__init__).parameters if name.endswith("_epochs")]
        raise UserError(
            f"{name} trains other modules first: the student learns in none of the {epochs} epochs; "
            f"raise trainer.max_epochs, or shorten {' and '.join(f'model.{name}' for name in arguments)}"
        )
