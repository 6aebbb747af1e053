"""The formula of each paper as pure functions on tensors: ``from kdlight.losses import kd_loss``.

Student first, teacher second, target third, hyper-parameters keyword-only. Values are in nats and reduced to one
scalar, the mean over the batch unless the docstring says otherwise. No gradient reaches the teacher's argument unless
the docstring says so. Feature losses take one stage; a method sums its stages. Weights belong to the methods, T^2 to
the loss.

Names resolve from the files of this folder, so a new file is public without an edit here. A type checker takes a name
from here as ``Any``; ``from kdlight.losses.kd import kd_loss`` gives it the full type.
"""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
