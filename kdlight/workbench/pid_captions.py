"""The words that pictures and tables of a PID have in common.

A PID (partial information decomposition) splits what two sources, here teacher and student, tell about the label into
four atoms, in bits: redundant, unique to the one, unique to the other, and synergistic information.
"""

__all__ = ["ATOM_LABELS", "INTERVAL", "describe_symbols"]

#: What the atoms are called, by attribute of `EstimatedPID`.
ATOM_LABELS = {
    "redundant": "redundant: transferred",
    "unique_first": "unique to the teacher: left to distil",
    "unique_second": "unique to the student",
    "synergistic": "synergistic: only both reveal it",
}
#: What the interval of an estimated atom means, see `kdlight.information.estimate_pid`.
INTERVAL = "the interval that contains 95 % of repeated measurements"


def describe_symbols(method: str, clusters: int | str | None, repeats: int) -> str:
    """Describe how features were turned into symbols, the numbers whose joint histogram is decomposed.

    Args:
        method: A method of `kdlight.information.Discretizer`.
        clusters: The number of clusters; None or "auto" if the number was chosen for each stage.
        repeats: How many times the features were turned into symbols, each time with other clusters.
    """
    if method == "predictions":
        return "symbols are the predicted classes"
    into = f" into {clusters} symbols" if clusters not in (None, "", "auto") else ""
    return f"features discretised by {method}{into}, mean of {repeats} discretisations"
