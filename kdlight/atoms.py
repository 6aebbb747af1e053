"""The names of the four atoms in logs and results, in the order in which they are shown.

A partial information decomposition (PID) splits what teacher and student tell about the label into these atoms.
"""

ATOMS = ("redundant", "unique_teacher", "unique_student", "synergistic")
