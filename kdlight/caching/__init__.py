"""The outputs of a frozen teacher on views that can be replayed, stored on disk: ``kdlight.caching.TeacherCache``."""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
