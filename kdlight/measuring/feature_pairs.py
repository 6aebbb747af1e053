"""Choose the feature of the teacher with which each feature of the student is compared."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from kdlight.errors import UserError
from kdlight.models.activations import Activations


class FeaturePair(NamedTuple):
    """A feature of the student and the feature of the teacher that it is compared with.

    Attributes:
        name: The name of the pair in logs.
        student: The index of a stage of the student, or the name of a field of its `Activations`.
        teacher: The index of a stage of the teacher, or the name of a field of its `Activations`.
    """

    name: str
    student: int | str
    teacher: int | str


def pair_features(of_student: int, of_teacher: int, names: Sequence[str] | None) -> list[FeaturePair]:
    """Return the requested pairs.

    Stages are paired from the end of the networks: the deepest stage of the student with the deepest stage of the
    teacher, the second deepest with the second deepest, until one network has no stage left.

    Args:
        of_student: Number of the student's stages.
        of_teacher: Number of the teacher's stages.
        names: The requested names: "stage1", "stage2" and so on (stages of the student), "embedding", "logits",
            "deepest" for the student's deepest stage, or "all" for the logits and every stage that is in a pair. None:
            the deepest stage and the logits.

    Raises:
        UserError: If a name is unknown, or names a stage of the student that is in no pair.
    """
    shared = range(max(0, of_student - of_teacher), of_student)
    places = [FeaturePair(f"stage{place + 1}", place, place - of_student + of_teacher) for place in shared]
    places += [FeaturePair(name, name, name) for name in ("embedding", "logits")]
    shared_stages = [place.name for place in places if isinstance(place.student, int)]
    named = {"deepest": shared_stages[-1:], "all": [*shared_stages, "logits"]}
    asked = ["deepest", "logits"] if names is None else names
    wanted = [name for each in asked for name in named.get(each, [each])]
    require_known_names(wanted, [place.name for place in places])
    return [place for place in places if place.name in wanted]


def require_known_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse unknown names of features.

    Raises:
        UserError: If a name is not among the known ones.
    """
    wrong = [name for name in names if name not in known]
    if wrong:
        raise UserError(f"PID: expected stages among {', '.join(known)}, got {', '.join(wrong)}")


def get_features(computed: Activations, place: int | str) -> Tensor:
    """Return the features of a stage or field, (batch, …)."""
    features: Tensor = computed.stages[place] if isinstance(place, int) else getattr(computed, place)
    return features
