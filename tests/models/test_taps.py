"""Where the stages of foreign models are found."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from kdlight.models.tapped import Tapped
from kdlight.models.taps import find_taps, to_feature_map

SHAPE = (3, 64, 64)


@pytest.mark.parametrize(
    ("name", "stages", "stem"),
    [
        ("resnet18", ("layer1", "layer2", "layer3", "layer4"), "maxpool"),
        ("mobilenet_v3_small", ("features.1", "features.3", "features.8", "features"), "features.0"),
        ("shufflenet_v2_x0_5", ("maxpool", "stage2", "stage3", "conv5"), "conv1"),
    ],
)
def test_a_stage_ends_where_the_resolution_changes(name: str, stages: tuple[str, ...], stem: str) -> None:
    assert find_taps(torchvision.models.get_model(name), list(SHAPE)) == (stages, stem)  # type: ignore[arg-type]


def test_what_is_found_can_be_tapped_in_training_and_halves_its_size() -> None:
    tapped = Tapped(torchvision.models.mobilenet_v3_small(num_classes=3), image_shape=SHAPE)
    activations = tapped.train().activations(torch.randn(2, *SHAPE))
    assert [stage.shape[-1] for stage in activations.stages] == [16, 8, 4, 2]
    assert activations.stem is not None
    assert activations.stem.shape[1:] == (16, 32, 32)


def test_stages_that_are_named_are_taken() -> None:
    tapped = Tapped(torchvision.models.resnet18(num_classes=3), ["layer2"])
    assert tapped.stage_names == ("model.layer2",)
    assert tapped.stem_name is None


class Transformer(nn.Module):
    """Eight blocks on 16 tokens behind a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 16, 16)
        self.blocks = nn.Sequential(*(nn.TransformerEncoderLayer(12, 2, 24, batch_first=True) for _ in range(8)))
        self.fc = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.blocks(torch.cat([tokens[:, :1] * 0, tokens], dim=1))
        logits: Tensor = self.fc(tokens[:, 0])
        return logits


def test_a_network_of_one_resolution_is_cut_into_quarters() -> None:
    tapped = Tapped(Transformer(), image_shape=SHAPE).eval()
    assert tapped.stage_names == tuple(f"model.blocks.{place}" for place in (1, 3, 5, 7))
    activations = tapped.activations(torch.randn(2, *SHAPE))
    assert [tuple(stage.shape) for stage in activations.stages] == [(2, 12, 4, 4)] * 4


def test_tokens_and_channels_last_become_maps() -> None:
    maps = torch.randn(2, 5, 4, 4)
    tokens = maps.flatten(2).transpose(1, 2)
    assert torch.equal(to_feature_map(maps), maps)
    assert torch.equal(to_feature_map(maps.permute(0, 2, 3, 1)), maps)
    assert torch.equal(to_feature_map(tokens), maps)
    assert torch.equal(to_feature_map(torch.cat([torch.zeros(2, 1, 5), tokens], dim=1)), maps)
    assert to_feature_map(torch.zeros(2, 7)).shape == (2, 7)


def test_a_layer_that_is_overwritten_or_inside_a_residual_block_is_no_stage() -> None:
    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 1), nn.Conv2d(outputs, outputs, 2, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.conv2(self.conv1(images)) + images[:, :1, ::2, ::2]

    model = nn.Sequential(
        nn.Sequential(Block(3, 4), Block(4, 4)),
        nn.Sequential(Block(4, 8), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )
    # 1.0.conv1 has the resolution of 0 and runs after it; 1.1 is overwritten; 1 ends with the same map as 1.2.
    assert find_taps(model, SHAPE).stages == ("0.0", "0", "1")


def test_a_network_without_maps_has_no_stages() -> None:
    assert find_taps(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2)) == ((), None)
