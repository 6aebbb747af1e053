"""A teacher whose maps are partly noise."""

import pytest
import torch

from kdlight.caching.teacher_cache import TeacherCache
from kdlight.methods.cakd import CAKD
from kdlight.methods.rid import RID
from kdlight.models.frozen import Frozen
from kdlight.models.noisy_features import NoisyFeatures
from kdlight.models.weights import load_weights
from kdlight.models.zoo.resnet import resnet8
from tests.methods.conftest import arguments, digits, trainer

SHAPE = (1, 8, 8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return resnet8(10, (3, 32, 32)).eval()


def corrupt_output(output, noise_fraction, noise_std, is_replace):
    """As the authors' code has it: github.com/pasandissanayake/kd-rid (3f8151a), systems/system_utils.py."""
    _, _, h, _ = output.shape
    lower_fraction_start = int((1 - noise_fraction) * h)
    noise = torch.randn_like(output[:, :, lower_fraction_start:, :]) * noise_std
    noisy_output = output.detach()
    if is_replace:
        noisy_output[:, :, lower_fraction_start:, :] = noise
    else:
        noisy_output[:, :, lower_fraction_start:, :] += noise
    return noisy_output


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.3, 1.0])
def test_disturbs_the_stages_as_the_authors_code_does_and_nothing_else(network, fraction, replace) -> None:
    images = torch.randn(5, 3, 32, 32)
    clean = Frozen(network).activations(images)
    torch.manual_seed(1)
    seen = Frozen(NoisyFeatures(network, fraction, 3.0, replace)).activations(images)
    torch.manual_seed(1)
    for found, stage in zip(seen.stages, clean.stages, strict=True):
        torch.testing.assert_close(found, corrupt_output(stage.clone(), fraction, 3.0, replace))
        assert torch.equal(found, stage) == (fraction == 0.0)
    assert torch.equal(seen.logits, clean.logits)
    assert torch.equal(seen.embedding, clean.embedding)


def test_the_weights_of_the_bare_network_fit(network, tmp_path) -> None:
    torch.save(network.state_dict(), tmp_path / "bare.pt")
    noisy = NoisyFeatures(resnet8(10, (3, 32, 32)), 0.5).eval()
    load_weights(noisy, tmp_path / "bare.pt")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(noisy(images), network(images))
    assert noisy.head is noisy.model.head


def test_what_cannot_use_it_says_so(tmp_path) -> None:
    teacher = Frozen(NoisyFeatures(resnet8(10, SHAPE), 0.5))
    said = r"the method CAKD needs gradients of its teacher's feature maps, too: set its stages to \[\]"
    with pytest.raises(ValueError, match=said):
        trainer(tmp_path, 1).fit(CAKD(resnet8(10, SHAPE), teacher), datamodule=digits())
    cached = RID(resnet8(10, SHAPE), teacher, teacher_cache=TeacherCache(str(tmp_path / "cache")), **arguments(RID))
    with pytest.raises(ValueError, match="noise of NoisyFeatures changes"):
        trainer(tmp_path, 3).fit(cached, datamodule=digits())
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ValueError, match=r"noise_fraction to be less than or equal to 1, got 1\.5"):
        NoisyFeatures(resnet8(10, SHAPE), 1.5)
