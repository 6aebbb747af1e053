"""The networks of the CIFAR tables, foreign models, and weights: ``from kdlight.models import wrn_40_2``.

Every network is a `Classifier`: ``model(images)`` gives logits, ``model.activations(images)`` all that led to them. Its
first argument is the number of classes, its second the (channels, height, width) of the images.

The names are those that the files of this folder list in ``__all__``: a new file needs no entry here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
