"""Several classifiers as one teacher."""

from pathlib import Path

import pytest
import torch

from kdlight.models.ensemble import Ensemble, average_softened_logits, join_stages
from kdlight.models.frozen import Frozen
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.wrn import wrn_16_1


@pytest.fixture
def members() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    return [resnet8(5), wrn_16_1(5), resnet8(5)]


def test_predicts_the_mean_of_probabilities(members) -> None:
    images = torch.randn(4, 3, 32, 32)
    seen = Frozen(Ensemble(members)).activations(images)
    logits = [member(images).detach() for member in members]
    torch.testing.assert_close(seen.logits.exp(), sum(x.softmax(1) for x in logits) / 3)
    for of_member, expected in zip(seen.member_logits, logits, strict=True):
        torch.testing.assert_close(of_member, expected)
    assert seen.embedding.shape == (4, 192)


def test_stages_are_the_members_maps_side_by_side(members) -> None:
    images = torch.randn(4, 3, 32, 32)
    seen = Frozen(Ensemble(members)).activations(images)
    for place, joined in enumerate(seen.stages):
        expected = [Frozen(member).activations(images).stages[place] for member in members]
        torch.testing.assert_close(joined, torch.cat(expected, 1))
    assert len(seen.stages) == 3


def test_stages_of_other_sizes_are_pooled_to_the_smallest_and_paired_from_the_deepest() -> None:
    torch.manual_seed(0)
    first = torch.randn(2, 3, 16, 16), torch.randn(2, 5, 8, 8), torch.randn(2, 6, 8, 8)
    second = torch.randn(2, 7, 8, 4), torch.randn(2, 4, 2, 2)
    shallow, deep = join_stages([first, second])
    torch.testing.assert_close(shallow, torch.cat([first[1].unflatten(3, (4, 2)).mean(4), second[0]], 1))
    torch.testing.assert_close(deep[:, :6, 1, 0], first[2][:, :, 4:, :4].mean((2, 3)))
    assert torch.equal(deep[:, 6:], second[1])


def test_the_softened_mean_is_the_mean_of_softened_outputs_and_no_softmax_of_means() -> None:
    torch.manual_seed(0)
    first, second = 3 * torch.randn(2, 6, 10, dtype=torch.float64)
    mean = average_softened_logits([first, second], 2.0)
    expected = ((first / 2).softmax(1) + (second / 2).softmax(1)) / 2
    torch.testing.assert_close((mean / 2).softmax(1), expected)
    assert ((first + second) / 4).softmax(1).sub(expected).abs().max() > 0.01
    assert average_softened_logits([first], 2.0) is first
    hot = average_softened_logits([first, second], 1e5)
    torch.testing.assert_close(
        hot - hot.mean(1, keepdim=True),
        (lambda m: m - m.mean(1, keepdim=True))(average_softened_logits([first, second], float("inf"))),
        rtol=1e-3,
        atol=1e-3,
    )
    assert average_softened_logits([1e4 * first, -1e4 * first], 1.0).isfinite().all()
    assert average_softened_logits([first.bfloat16(), second.bfloat16()], 1.0).dtype == torch.float32


def test_each_member_has_its_own_weights(members, tmp_path: Path) -> None:
    paths = []
    for number, member in enumerate(members):
        paths.append(str(tmp_path / f"{number}.pt"))
        torch.save(member.state_dict(), paths[-1])
    expected = Ensemble(members)
    again = Ensemble([resnet8(5), wrn_16_1(5), resnet8(5)], weights=paths)
    assert again.has_weights
    assert not expected.has_weights
    assert Frozen(again).sha256() == Frozen(expected).sha256()


def test_errors(members) -> None:
    with pytest.raises(ValueError, match=r"same number of classes, got \[5, 4\]"):
        Ensemble([members[0], resnet8(4)])
    with pytest.raises(ValueError, match=r"got \[\]"):
        Ensemble([])
    with pytest.raises(ValueError, match="each of 3 members, got 1"):
        Ensemble(members, weights=["a.pt"])
    with pytest.raises(ValueError, match="ensemble has no head"):
        _ = Ensemble(members).head
