"""Data modules: ``from kdlight.data import DigitsDataModule``.

The package exports the names that the files of this folder list in ``__all__``, so a new file needs no entry here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
