"""The outputs of a frozen teacher on views that can be replayed, stored on disk: ``kdlight.caching.TeacherCache``."""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
