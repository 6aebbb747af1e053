"""Measure what teacher and student, on the same fixed images, tell about the label."""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
