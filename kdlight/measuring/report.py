"""What one measurement of teacher and student says, and the keys under which it is logged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from kdlight.information.estimates import EstimatedPID

#: What the sources and the target of `EstimatedPID` are here.
NAMES = ("teacher", "student", "label")
#: What is left out of the log unless details are asked for: the plug-in values, and what follows from other keys.
_DETAILS = ("_counted", "_both_lower", "_both_upper", "_between_lower", "_between_upper", "/gap", "/samples")


@dataclass(frozen=True)
class StageReport:
    """What the networks tell about the label at one stage, in bits."""

    pid: EstimatedPID
    further: Mapping[str, float] = field(default_factory=dict)
    """What filters and heads certify, and details that were asked for, by key."""

    @property
    def capped(self) -> bool:
        """Whether the number of symbols, not the network, limits what is found of the teacher or the student."""
        caps = (self.pid.information_first, self.pid.cap_first), (self.pid.information_second, self.pid.cap_second)
        return any(cap < self.pid.target_entropy - 0.01 and found.upper > 0.9 * cap for found, cap in caps)

    def to_dict(self, prefix: str = "", *, details: bool = False) -> dict[str, float]:
        """Numbers by key.

        Args:
            prefix: What every key begins with.
            details: With the plug-in values and everything else that `EstimatedPID.to_dict` has.
        """
        values = {**self.pid.to_dict(NAMES), **self.further}
        return {prefix + key: value for key, value in values.items() if details or not f"/{key}".endswith(_DETAILS)}

    @classmethod
    def from_dict(cls, values: Mapping[str, float], prefix: str = "") -> Self:
        """Read what `to_dict` wrote; what is missing is not estimable, or NaN."""
        own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        pid = EstimatedPID.from_dict(own, NAMES)
        return cls(pid, {key: value for key, value in own.items() if key not in pid.to_dict(NAMES)})


@dataclass(frozen=True)
class Report:
    """What one measurement says of every stage, and what holds of all stages whatever the symbols are."""

    stages: Mapping[str, StageReport]
    bounds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self, prefix: str = "", *, details: bool = False) -> dict[str, float]:
        """Numbers by key: ``<prefix><stage>/<key>``, and ``<prefix><key>`` of the bounds."""
        values = {prefix + key: value for key, value in self.bounds.items()}
        for stage, report in self.stages.items():
            values |= report.to_dict(f"{prefix}{stage}/", details=details)
        return values


def symbol_free_bounds(label_entropy: float, teacher_loss: float, student_loss: float) -> dict[str, float]:
    """Bounds on every stage's informations that no choice of symbols enters, from the losses of both networks' logits.

    A network's logits tell at least H(Y) - CE bits about the label (Barber and Agakov, 2003), and the stages that they
    are computed from tell at least as much. Since the unique information of the teacher is at most H(Y) - I(Y;S), the
    redundant is at least I(Y;T) + I(Y;S) - H(Y).

    Args:
        label_entropy: H(Y) of the counted images, in bits.
        teacher_loss: The teacher's cross-entropy on them, in bits.
        student_loss: The student's.
    """
    teacher, student = (max(label_entropy - loss, 0.0) for loss in (teacher_loss, student_loss))
    return {
        "label_entropy": label_entropy,
        "information_teacher_at_least": teacher,
        "information_student_at_least": student,
        "redundant_at_least": max(teacher + student - label_entropy, 0.0),
        "unique_teacher_at_most": label_entropy - student,
    }
