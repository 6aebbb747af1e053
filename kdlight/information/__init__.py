"""Pure numerics: entropy, mutual information, partial information decomposition, discretisation. Bits throughout.

Joint distributions are arrays with axes (first source, second source, target).
The names are those that the files of this folder list in ``__all__``: a new file needs no entry here.
"""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
