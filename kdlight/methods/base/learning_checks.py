"""Refuse runs in which the student cannot learn."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from kdlight.errors import UserError
from kdlight.ranges import read_weights

if TYPE_CHECKING:
    from kdlight.methods.base.learner import Learner


def require_matching_classes(learner: "Learner") -> None:
    """Refuse data with more classes than the student.

    Args:
        learner: A method with its trainer.

    Raises:
        UserError: If the data have more classes than the student.
    """
    classes = getattr(getattr(learner.trainer, "datamodule", None), "num_classes", 0)
    if classes > learner.student.num_classes:
        raise UserError(
            f"model.student.num_classes: expected {classes} as in the data, got {learner.student.num_classes}; "
            "leave the option out to take the number from the data"
        )


def require_terms(learner: "Learner", terms: object) -> None:
    """Refuse loss terms of a wrong type or shape.

    Raises:
        UserError: If the terms are not a mapping from names to scalar tensors.
    """
    wrong = {} if isinstance(terms, Mapping) else {"": terms}
    if isinstance(terms, Mapping):
        wrong = {f"[{key!r}]": term for key, term in terms.items() if not isinstance(term, Tensor) or term.ndim}
    for place, term in wrong.items():
        got = f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
        what = "a scalar tensor" if place else "a dict of scalar tensors by name"
        raise UserError(f"{type(learner).__name__}.loss_terms(…){place}: expected {what}, got {got}")


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
