"""Objects are recorded as a configuration writes them."""

import functools

import pytest
import torch

import kdlight.models
from kdlight.arguments import describe
from kdlight.models import Classifier, resnet20

BUILDERS = sorted(name for name in dir(kdlight.models) if name.startswith(("resnet", "wrn", "vgg", "kdrid")))


def test_a_network_is_recorded_as_the_function_that_made_it():
    assert describe(resnet20(10, shortcut="projection")) == {
        "class_path": "kdlight.models.resnet20",
        "init_args": {"num_classes": 10, "shortcut": "projection"},
    }


@pytest.mark.parametrize("name", BUILDERS)
def test_every_function_of_the_zoo_is_recorded(name):
    make = getattr(kdlight.models, name)
    with torch.device("meta"):
        network = make(10, (3, 32, 32))
    assert isinstance(network, Classifier)
    assert describe(network) == {
        "class_path": f"kdlight.models.{name}",
        "init_args": {"num_classes": 10, "image_shape": [3, 32, 32]},
    }


def build_anything(name, width=1, **options):
    """A builder such as timm's, which takes any argument."""


def test_a_partial_is_described_with_all_its_arguments():
    described = describe(functools.partial(build_anything, "tiny", 2, depth=3))
    assert described["class_path"].endswith("build_anything")
    assert described["init_args"] == {"name": "tiny", "width": 2, "depth": 3}
