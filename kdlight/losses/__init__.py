"""The formula of each paper as pure functions on tensors: ``from kdlight.losses import kd_loss``.

Arguments are the student's values first, the teacher's second, the target third; hyper-parameters are keyword-only.
Values are in nats and reduced to one scalar, the mean over the batch unless the docstring says otherwise. No gradient
reaches the teacher's argument unless the docstring says so. Feature losses take one stage; a method sums over its
stages. The factor T^2 is part of a loss, weights are not: the methods multiply by them.

The package exports the names that the files of this folder list in ``__all__``, so a new file needs no entry here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
