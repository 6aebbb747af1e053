"""The names of the four atoms of a partial information decomposition (PID), in the order in which they are shown.

A PID splits what teacher and student tell about the label into four atoms: redundant information (both tell it), unique
information of the teacher or of the student (only this network tells it), and synergistic information (only both
networks together tell it). Logs and results use these names.
"""

ATOMS = ("redundant", "unique_teacher", "unique_student", "synergistic")
