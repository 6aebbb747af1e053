"""The formula of each paper as pure functions on tensors: ``from kdlight.losses import kd_loss``.

Arguments are the student's values first, the teacher's second, the target third; hyper-parameters are keyword-only.
A loss is one scalar, the mean over the batch unless its docstring says otherwise; divergences are in nats. No gradient
reaches the teacher's argument unless the docstring says so. Feature losses compare one stage of the networks; a method
sums them over its stages. If the paper or code that a loss follows multiplies by T^2, the square of the temperature,
the function does so, too. The weight that a method gives a whole loss, such as `at_weight`, is not applied here.

The package exports the names that the files of this folder list in ``__all__``, so a new file needs no entry here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
