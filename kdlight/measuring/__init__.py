"""Measure what teacher and student, on the same fixed images, tell about the label."""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
