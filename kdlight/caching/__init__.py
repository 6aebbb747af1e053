"""What a frozen teacher computed on replayable views, kept on disk: ``from kdlight.caching import TeacherCache``."""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
