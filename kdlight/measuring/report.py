"""The result of one measurement of teacher and student, and the keys under which it is logged.

The features of both networks are turned into symbols (integers, such as cluster indices). What the symbols tell about
the label is split into redundant, unique and synergistic information.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from kdlight.information.estimated_pid import EstimatedPID

#: The keys call the first source, the second source and the target of `EstimatedPID` by these names.
NAMES = ("teacher", "student", "label")
#: Keys with these endings are logged only with ``details: true``: values without bias correction, the intervals of
#: `EstimatedPID.information_both` and `EstimatedPID.information_between`, the numerical error, the number of images.
_DETAILS = ("_counted", "_both_lower", "_both_upper", "_between_lower", "_between_upper", "/gap", "/samples")


@dataclass(frozen=True)
class StageReport:
    """The measurement of one stage: the information of both networks about the label, in bits."""

    pid: EstimatedPID
    further: Mapping[str, float] = field(default_factory=dict)
    """Further numbers by key: those of `FilteredComparison.certify` (for RID and TED) and of `compute_details`."""

    @property
    def capped(self) -> dict[str, float]:
        """The upper limit log2(number of symbols), in bits, for each network whose information comes close to it."""
        pid = self.pid
        caps = ("teacher", pid.information_first, pid.cap_first), ("student", pid.information_second, pid.cap_second)
        # A cap is reported only if it is clearly below the label's entropy, which is another limit of the information.
        # A cap of 0 bits is not reported. It means that there is only one symbol: the features do not vary at all.
        limiting = [(name, found, cap) for name, found, cap in caps if 0 < cap < pid.target_entropy - 0.01]
        return {name: cap for name, found, cap in limiting if found.upper > 0.9 * cap}

    def to_dict(self, prefix: str = "", *, details: bool = False) -> dict[str, float]:
        """Return the numbers by key.

        Args:
            prefix: Prefix of every key.
            details: Include the values without bias correction and everything else that `EstimatedPID.to_dict` returns.
        """
        values = {**self.pid.to_dict(NAMES), **self.further}
        return {prefix + key: value for key, value in values.items() if details or not f"/{key}".endswith(_DETAILS)}

    @classmethod
    def from_dict(cls, values: Mapping[str, float], prefix: str = "") -> Self:
        """Read what `to_dict` returned. A missing estimate counts as not estimable; other missing numbers are NaN."""
        own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        pid = EstimatedPID.from_dict(own, NAMES)
        return cls(pid, {key: value for key, value in own.items() if key not in pid.to_dict(NAMES)})


@dataclass(frozen=True)
class Report:
    """The result of one measurement: a report of every stage, and bounds that do not depend on the symbols."""

    stages: Mapping[str, StageReport]
    bounds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self, prefix: str = "", *, details: bool = False) -> dict[str, float]:
        """Return the numbers by key: ``<prefix><stage>/<key>`` for stages, ``<prefix><key>`` for bounds."""
        values = {prefix + key: value for key, value in self.bounds.items()}
        for stage, report in self.stages.items():
            values |= report.to_dict(f"{prefix}{stage}/", details=details)
        return values


def bound_informations(label_entropy: float, teacher_loss: float, student_loss: float) -> dict[str, float]:
    """Bound the informations of every stage by the cross-entropies (CE) of the logits, independently of any symbols.

    Y is the label, T and S are features of teacher and student. A network's logits tell at least H(Y) - CE bits about
    the label (Barber and Agakov, 2003). The stages from which the logits are computed tell at least as much. The unique
    information of the teacher is at most H(Y) - I(Y;S). The redundant information is I(Y;T) minus the teacher's unique
    information, so it is at least I(Y;T) + I(Y;S) - H(Y).

    Args:
        label_entropy: H(Y) of the measured images, in bits.
        teacher_loss: The teacher's cross-entropy on these images, in bits.
        student_loss: The student's cross-entropy on these images, in bits.
    """
    teacher, student = (max(label_entropy - loss, 0.0) for loss in (teacher_loss, student_loss))
    return {
        "label_entropy": label_entropy,
        "information_teacher_at_least": teacher,
        "information_student_at_least": student,
        "redundant_at_least": max(teacher + student - label_entropy, 0.0),
        "unique_teacher_at_most": label_entropy - student,
    }
