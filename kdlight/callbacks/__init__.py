"""Instruments that watch a run: ``from kdlight.callbacks import PIDMonitor``."""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
