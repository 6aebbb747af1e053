"""Teacher outputs by name, whole or the top, and back."""

import pytest
import torch

from kdlight.caching.outputs import decode, encode
from kdlight.models.ensemble import Ensemble
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.wrn import wrn_16_1

ALL = ("logits", "member_logits", "embedding", "stages", "preactivations", "stem")


def flat(computed):
    found = []
    computed.map(lambda tensor: found.append(tensor) or tensor)
    return found


def test_everything_comes_back():
    torch.manual_seed(0)
    for model in (wrn_16_1(10), Ensemble([resnet8(10), resnet8(10)])):
        computed = model.eval().activations(torch.randn(4, 3, 32, 32))
        restored = decode(encode(computed, ALL, top=None, dtype=torch.float32), ALL, num_classes=10)
        assert len(flat(computed)) == len(flat(restored))
        for kept, expected in zip(flat(restored), flat(computed), strict=True):
            assert torch.equal(kept, expected)


def test_only_what_is_asked_for_is_kept_and_to_read_more_is_an_error():
    computed = wrn_16_1(10).eval().activations(torch.randn(4, 3, 32, 32))
    encoded = encode(computed, ("embedding",), top=None, dtype=torch.float16)
    assert {name: values.dtype for name, values in encoded.items()} == {"embedding": torch.float16}
    restored = decode(encoded, ("embedding",), num_classes=10)
    for read in (lambda: restored.logits + 1, lambda: restored.stages[0], lambda: list(restored.stages)):
        with pytest.raises(ValueError, match="was not kept: expected a method whose class attribute `reads`"):
            read()
    with pytest.raises(ValueError, match="logits was not kept"):
        torch.nn.functional.mse_loss(computed.logits, restored.logits)
    torch.testing.assert_close(restored.embedding, computed.embedding, rtol=1e-3, atol=1e-5)


def test_the_top_keeps_probabilities_and_the_mass_of_the_rest():
    torch.manual_seed(0)
    logits = 5 * torch.randn(8, 100)
    computed = wrn_16_1(100).eval().activations(torch.randn(8, 3, 32, 32))._replace(logits=logits)
    encoded = encode(computed, ("logits",), top=7, dtype=torch.float32)
    assert sum(values[0].numel() for values in encoded.values()) == 7 + 7 + 1
    restored = decode(encoded, ("logits",), num_classes=100).logits.softmax(1)
    expected = logits.softmax(1)
    top = logits.topk(7, dim=1).indices
    torch.testing.assert_close(restored.gather(1, top), expected.gather(1, top))
    torch.testing.assert_close(restored.sum(1), torch.ones(8))
    others = restored.scatter(1, top, -1.0)
    assert all(len(row[row >= 0].unique()) <= 2 for row in others), "the rest is divided evenly"
