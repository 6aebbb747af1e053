"""The names of the PID's atoms in logs and results, in the order in which they are shown."""

ATOMS = ("redundant", "unique_teacher", "unique_student", "synergistic")
