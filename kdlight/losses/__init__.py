"""The formula of each paper as pure functions on tensors: ``from kdlight.losses import kd_loss``.

Student first, teacher second, target third, hyper-parameters keyword-only. Values are in nats and reduced to one
scalar, the mean over the batch unless the docstring says otherwise. No gradient reaches the teacher's argument unless
the docstring says so. Feature losses take one stage; a method sums its stages. Weights belong to the methods, T^2 to
the loss.

The names are those that the files of this folder list in ``__all__``: a new file needs no entry here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
