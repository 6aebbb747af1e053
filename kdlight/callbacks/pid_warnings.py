"""The warnings of `PIDMonitor`, each of which is given once in a run.

`PIDMonitor` turns the features of teacher and student into symbols (integers, such as cluster indices). It splits the
information that the symbols have about the label into four atoms. This is a partial information decomposition (PID).
"""

from collections.abc import Iterable

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from kdlight.measuring.probe import FEWEST
from kdlight.measuring.report import Report

FEW = 100  # a measurement on fewer images is said to be rough


class PIDWarnings:
    """Warns of values that are missing or rough, and of values close to a limit set by the number of symbols."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def warn_of_small_test_set(self, images: int) -> None:
        """Warn that the test set has too few images to be measured."""
        if self._is_new("test set"):
            rank_zero_warn(
                f"PIDMonitor: pid_test is left out, because a PID needs at least {FEWEST} images and the test set has "
                f"{images}",
                category=UserWarning,
            )

    def warn_of_infinite_stages(self, wanted: Iterable[str], report: Report, epoch: int) -> None:
        """Warn of stages that the report lacks because their features are not finite.

        Args:
            wanted: The names of the stages to measure.
            report: The measurement.
            epoch: The epoch after which the measurement was made.
        """
        for stage in wanted:
            if stage not in report.stages and self._is_new(stage):
                rank_zero_warn(
                    f"PIDMonitor: the student's {stage} is not finite after epoch {epoch}; its atoms are left out "
                    "until it is finite again",
                    category=UserWarning,
                )

    def report_limits(self, report: Report, images: int) -> None:
        """Print each stage whose information is close to the most that its symbols can carry, and if images are few."""
        if images < FEW and self._is_new("few images"):
            rank_zero_info(
                f"PIDMonitor: the PID is measured on {images} images; on fewer than {FEW}, it is rough and can fall "
                "below 0; look at its intervals, or hold out more images (val_size)"
            )
        for stage, found in report.stages.items():
            if found.capped and self._is_new(f"cap of {stage}"):
                network, cap = next(iter(found.capped.items()))
                rank_zero_info(
                    f"PIDMonitor: the information of the {network}'s {stage} is close to the most that its symbols can "
                    f"carry (log2 of {2**cap:.0f} symbols = {cap:.2f} bits, less than H(label) = "
                    f"{found.pid.target_entropy:.2f} bits); to measure more of the information, increase clusters or "
                    "samples, or set symbols: probe"
                )

    def _is_new(self, subject: str) -> bool:
        """Return whether this is the first warning about a subject, and remember the subject."""
        new = subject not in self._given
        self._given.add(subject)
        return new
