"""Metrics for your own training loop: ``from kdlight.metrics import PartialInformationDecomposition``."""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
