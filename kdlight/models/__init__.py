"""The networks of the CIFAR tables, foreign models, and weights: ``from kdlight.models import wrn_40_2``.

Every network is a `Classifier`: ``model(images)`` gives logits, ``model.activations(images)`` all that led to them. Its
first argument is the number of classes, its second the (channels, height, width) of the images.

Names resolve from the files of this folder, so a new file is public without an edit here. A type checker takes a name
from here as ``Any``; ``from kdlight.models.zoo.wrn import wrn_40_2`` gives it the full type.
"""

from kdlight.lazy import names_of

__getattr__, __dir__ = names_of(__name__, __path__)
