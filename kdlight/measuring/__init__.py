"""Measure the information about the label in the features of teacher and student, on the same fixed images."""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
