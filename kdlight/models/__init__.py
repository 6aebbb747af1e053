"""Networks, including those of torchvision and timm: ``from kdlight.models import wrn_40_2``.

Every network is a `Classifier`: ``model(images)`` gives logits, ``model.activations(images)`` gives the logits and the
values that were computed on the way to them. The arguments of functions such as `wrn_40_2` are the number of classes,
and the (channels, height, width) of the images. `load_weights` reads trained weights from a file.

The package exports the names that the files of this folder list in ``__all__``, so a new file needs no entry here.
"""

from kdlight.lazy import find_lazy_names

__getattr__, __dir__ = find_lazy_names(__name__, __path__)
