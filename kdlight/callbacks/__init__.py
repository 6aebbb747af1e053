"""Lightning callbacks, such as ``from kdlight.callbacks import PIDMonitor``."""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
