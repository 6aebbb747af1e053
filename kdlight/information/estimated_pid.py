"""A partial information decomposition (PID) estimated from samples: values, intervals, and their keys in files.

A PID splits what two sources tell about a target into four atoms: redundant, unique to the first source, unique to the
second source, and synergistic.
"""

__all__ = ["Estimate", "EstimatedPID"]

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self


class Estimate(NamedTuple):
    """A quantity in bits, estimated from samples. The estimate can be negative if the true value is near zero.

    `lower` and `upper` are the ends of the interval that `estimate_pid` explains. A symbolisation is one way of turning
    features into symbols.
    """

    value: float
    """Corrected for bias; the mean over the symbolisations."""
    lower: float
    upper: float
    counted: float
    """The biased plug-in value, with observed frequencies as probabilities; the mean over the symbolisations."""
    estimable: bool
    """Whether there are enough samples to rely on the interval, as `estimate_pid` explains."""


@dataclass(frozen=True)
class EstimatedPID:
    """A decomposition of the information of two sources about a target, estimated from samples, in bits.

    The first four attributes are the atoms. The informations about the target are sums of atoms.
    """

    redundant: Estimate
    unique_first: Estimate
    unique_second: Estimate
    synergistic: Estimate
    information_first: Estimate
    """I(target; first)."""
    information_second: Estimate
    """I(target; second)."""
    information_both: Estimate
    """I(target; first, second)."""
    information_first_given_second: Estimate
    """I(target; first | second)."""
    information_between: Estimate
    """I(first; second): what the sources tell about each other, whether or not it concerns the target."""
    target_entropy: float
    """H(target) of the samples, in bits: an upper bound of every information about the target."""
    cap_first: float
    """log2 of the first source's number of symbols, an upper bound of `information_first` and `redundant`."""
    cap_second: float
    """log2 of the second source's number of symbols, an upper bound of `information_second` and `redundant`."""
    gap: float
    """Certified bound on the numerical error, in bits, of the atoms' plug-in values (`Estimate.counted`)."""
    samples: int

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The estimated quantities by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Estimate)}

    def to_dict(self, names: tuple[str, str, str] = ("first", "second", "target")) -> dict[str, float]:
        """Return all numbers by key; estimates from too few samples (`Estimate.estimable` is false) are left out.

        The keys are the names of the attributes, with ``names`` in place of first, second and target. The ends of an
        interval have the suffixes ``_lower`` and ``_upper``, the plug-in value has ``_counted``.
        """
        keys = _rename_fields(names)
        report: dict[str, float] = {}
        for name, estimate in self.estimates.items():
            if estimate.estimable:
                parts = zip(_PARTS, estimate[:4], strict=True)
                report |= {keys[name] + part: float(value) for part, value in parts}
        others = [name for name in keys if name not in QUANTITIES]
        return report | {keys[name]: float(getattr(self, name)) for name in others}

    @classmethod
    def from_dict(
        cls, values: Mapping[str, float], names: tuple[str, str, str] = ("first", "second", "target")
    ) -> Self:
        """Read what `to_dict` returned. A missing estimate counts as not estimable; other missing numbers are NaN."""
        keys, nothing = _rename_fields(names), float("nan")
        read: dict[str, Any] = {key: values.get(keys[key], nothing) for key in keys}
        for name in QUANTITIES:
            value, lower, upper, counted = (values.get(keys[name] + part, nothing) for part in _PARTS)
            read[name] = Estimate(value, lower, upper, counted, estimable=keys[name] in values)
        return cls(**read)


#: The names of the estimated quantities, in the order of the attributes of `EstimatedPID`.
QUANTITIES = tuple(field.name for field in fields(EstimatedPID) if field.type is Estimate)
_PARTS = ("", "_lower", "_upper", "_counted")


def _rename_fields(names: tuple[str, str, str]) -> dict[str, str]:
    """Return, for the name of each attribute of `EstimatedPID`, the name under which it is stored in files."""
    renamed = dict(zip(("first", "second", "target"), names, strict=True))
    return {
        field.name: "_".join(renamed.get(word, word) for word in field.name.split("_"))
        for field in fields(EstimatedPID)
    }
