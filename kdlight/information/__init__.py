"""Entropy, mutual information, partial information decomposition and discretisation with NumPy.

Results are in bits unless a docstring says otherwise. Joint distributions are arrays with axes (first source,
second source, target). The package exports the names that its files list in ``__all__``, so a new file needs no entry
here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
