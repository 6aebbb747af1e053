"""Lightning callbacks, such as ``from kdlight.callbacks import PIDMonitor``."""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
