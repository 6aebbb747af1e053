"""Store a frozen teacher's outputs on augmented views of the images, and train on the same views: `TeacherCache`."""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
