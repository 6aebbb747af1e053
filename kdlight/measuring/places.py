"""What is measured of two networks, and where it lies in each."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from kdlight.errors import UserError
from kdlight.models.activations import Activations


class Place(NamedTuple):
    """A name in the log and the stage's place, or the attribute of `Activations`, in each network."""

    name: str
    student: int | str
    teacher: int | str


def stage_places(of_student: int, of_teacher: int, names: Sequence[str] | None) -> list[Place]:
    """What is measured, by name.

    Args:
        of_student: Number of the student's stages.
        of_teacher: Number of the teacher's stages; they are paired from the deepest backwards.
        names: What was asked for; "deepest" stands for the deepest stage that both have, "all" for every shared stage
            and the logits. None: the deepest stage and the logits.

    Raises:
        UserError: If a name is not among what both networks have.
    """
    shared = range(max(0, of_student - of_teacher), of_student)
    places = [Place(f"stage{place + 1}", place, place - of_student + of_teacher) for place in shared]
    places += [Place(name, name, name) for name in ("embedding", "logits")]
    shared_stages = [place.name for place in places if isinstance(place.student, int)]
    named = {"deepest": shared_stages[-1:], "all": [*shared_stages, "logits"]}
    asked = ["deepest", "logits"] if names is None else names
    wanted = [name for each in asked for name in named.get(each, [each])]
    require_known(wanted, [place.name for place in places])
    return [place for place in places if place.name in wanted]


def require_known(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names of stages that there are not.

    Raises:
        UserError: If a name is not among the known ones.
    """
    wrong = [name for name in names if name not in known]
    if wrong:
        raise UserError(f"PID: expected stages among {', '.join(known)}, got {', '.join(wrong)}")


def taken(computed: Activations, place: int | str) -> Tensor:
    """The features of a place, (batch, …)."""
    features: Tensor = computed.stages[place] if isinstance(place, int) else getattr(computed, place)
    return features
