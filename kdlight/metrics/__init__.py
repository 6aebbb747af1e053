"""Metrics for anyone's loop: ``from kdlight.metrics import PartialInformationDecomposition``."""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
