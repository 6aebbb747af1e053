"""One LightningModule per paper: ``from kdlight.methods import RID``.

Names resolve from the files of this folder, so a new file is public without an edit here. A type checker takes a name
from here as ``Any``; ``from kdlight.methods.rid import RID`` gives it the full type.
"""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
