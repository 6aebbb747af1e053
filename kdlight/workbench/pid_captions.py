"""The words that pictures and tables of a PID have in common."""

__all__ = ["ATOM_LABELS", "INTERVAL", "describe_symbols"]

#: The atoms of a teacher's and a student's information about the label, by attribute of `EstimatedPID`.
ATOM_LABELS = {
    "redundant": "redundant: transferred",
    "unique_first": "unique to the teacher: left to distil",
    "unique_second": "unique to the student",
    "synergistic": "synergistic: only both reveal it",
}
#: What the bounds of an estimate mean, see `kdlight.information.estimate_pid`.
INTERVAL = "the interval that contains 95 % of repeated measurements"


def describe_symbols(method: str, clusters: int | str | None, repeats: int) -> str:
    """Describe how features were turned into symbols.

    Args:
        method: A method of `kdlight.information.Discretizer`.
        clusters: The number of clusters; None or "auto" if the number was chosen for each stage.
        repeats: The number of symbolisations.
    """
    if method == "predictions":
        return "symbols are the predicted classes"
    into = f" into {clusters} symbols" if clusters not in (None, "", "auto") else ""
    return f"features discretised by {method}{into}, mean of {repeats} discretisations"
