"""Weights in the layouts that people have."""

import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from kdlight.errors import UserError
from kdlight.models.tapped import Tapped
from kdlight.models.weights import count_classes, load_weights, read_state_dict
from kdlight.models.zoo.resnet import ResNet, resnet8
from kdlight.models.zoo.resnet_wide import ResNet50
from kdlight.models.zoo.wrn import wrn_16_1


@pytest.fixture
def source() -> ResNet:
    torch.manual_seed(1)
    model = resnet8(5)
    model(torch.randn(4, 3, 32, 32))
    return model


def renamed(weights: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return OrderedDict(
        (new + name.removeprefix(old) if name.startswith(old) else name, w) for name, w in weights.items()
    )


def layouts() -> list[str]:
    return ["bare", "model", "state_dict", "module", "wrapper", "linear", "run", "half", "no counters"]


@pytest.mark.parametrize("layout", layouts())
def test_layouts(layout: str, source: ResNet, tmp_path: Path) -> None:
    weights = source.state_dict()
    content: object = {
        "bare": weights,
        "model": {"epoch": 3, "model": weights, "best_acc": torch.tensor(71.2)},
        "state_dict": {"epoch": 3, "state_dict": weights, "best_prec1": 91.7},
        "module": {"state_dict": renamed(weights, "", "module.")},
        "wrapper": {"state_dict": renamed(weights, "", "model.")},
        "linear": renamed(weights, "fc.", "linear."),
        "run": {
            "epoch": 3,
            "state_dict": {**renamed(weights, "", "student."), "teacher_filters.0.weight": torch.ones(2)},
            "pytorch-lightning_version": "2.6.6",
        },
        "half": {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()},
        "no counters": {name: tensor for name, tensor in weights.items() if "tracked" not in name},
    }[layout]
    torch.save(content, tmp_path / "weights.pth")

    model = resnet8(5)
    load_weights(model, tmp_path / "weights.pth")
    for name, tensor in model.state_dict().items():
        expected = weights[name].half().float() if layout == "half" else weights[name]
        if not (layout == "no counters" and "tracked" in name):
            assert torch.equal(tensor, expected.to(tensor.dtype)), name
    assert count_classes(read_state_dict(tmp_path / "weights.pth")) == 5


def test_safetensors(source: ResNet, tmp_path: Path) -> None:
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    model = resnet8(5)
    load_weights(model, str(tmp_path / "weights.safetensors"))
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), source.state_dict().values(), strict=True)
    )


def test_a_head_called_fc_fits_one_called_linear(tmp_path: Path) -> None:
    weights = renamed(ResNet50(3).state_dict(), "linear.", "fc.")
    torch.save(weights, tmp_path / "weights.pth")
    model = ResNet50(3)
    load_weights(model, tmp_path / "weights.pth")
    assert torch.equal(model.linear.weight, weights["fc.weight"])


def test_foreign_weights_fit_the_model_in_tapped(tmp_path: Path) -> None:
    source, model = (torchvision.models.resnet18(num_classes=4) for _ in range(2))
    tapped = Tapped(model, ["layer4"])
    torch.save(source.state_dict(), tmp_path / "foreign.pth")
    torch.save({"state_dict": renamed(tapped.state_dict(), "", "student.")}, tmp_path / "run.ckpt")
    before = model.fc.weight.clone()

    load_weights(tapped, tmp_path / "foreign.pth")
    assert torch.equal(model.fc.weight, source.fc.weight)
    load_weights(tapped, tmp_path / "run.ckpt")
    assert torch.equal(model.fc.weight, before)


def test_a_misfit_is_told_in_three_lines_and_changes_nothing(source: ResNet, tmp_path: Path) -> None:
    torch.save({**wrn_16_1(10).state_dict(), "linear.weight": torch.ones(1)}, tmp_path / "weights.pth")
    before = source.conv1.weight.clone()
    with pytest.raises(ValueError, match="does not fit ResNet") as error:
        load_weights(source, tmp_path / "weights.pth")
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "40 missing: layer1.0.conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias, ..." in lines[0]
    assert lines[1].startswith("75 unexpected: block1.layer.0.bn1.weight, ")
    assert lines[2].startswith("6 of another shape: bn1.weight is (64,), needed (16,), ")
    assert torch.equal(source.conv1.weight, before)


def test_other_classes(source: ResNet, tmp_path: Path) -> None:
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"2 of another shape: fc\.weight is \(5, 64\), needed \(10, 64\)") as error:
        load_weights(resnet8(10), tmp_path / "weights.pth")
    assert "\n" not in str(error.value)


def test_filters_are_ignored_only_beside_a_student(source: ResNet, tmp_path: Path) -> None:
    torch.save({"state_dict": {**source.state_dict(), "filters.0.weight": torch.ones(2)}}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"1 unexpected: filters\.0\.weight"):
        load_weights(source, tmp_path / "weights.pth")


class Harmful:
    """Any class of a user's own."""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"state_dict": {}, "args": Harmful()}, r"needs \S*Harmful, which can run code: save the weights alone"),
        ({"epoch": 3}, "holds no state_dict"),
        ([1, 2], "holds no state_dict"),
        (nn.Linear(2, 2), r"needs \S*Linear, which can run code"),
    ],
)
def test_what_is_no_file_of_weights(content: object, reason: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=reason) as error:
        read_state_dict(tmp_path / "weights.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a file of weights", b"PK\x03\x04 half a zip", b"\x80\x02"])
def test_damaged_files(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name) as error:
        read_state_dict(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["weight", "pickle"])
def test_flipped_bytes_are_found_in_every_record(place: str, source: ResNet, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    with zipfile.ZipFile(path) as archive:
        records = {record.filename: record for record in archive.infolist()}
    largest = max(records.values(), key=lambda record: record.file_size).filename
    name = largest if place == "weight" else next(name for name in records if name.endswith("data.pkl"))
    content = bytearray(path.read_bytes())
    start = content.index(name.encode()) + 200 + records[name].file_size // 2
    content[start : start + 4] = bytes(255 - byte for byte in content[start : start + 4])
    path.write_bytes(content)
    before = source.conv1.weight.clone()
    with pytest.raises(UserError, match=f"weights.pth is damaged: the bytes of its record {name} do not match"):
        load_weights(source, path)
    assert torch.equal(source.conv1.weight, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3e30])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_values_that_no_weight_has_are_refused(value: float, kind: str, source: ResNet, tmp_path: Path) -> None:
    weights = source.state_dict()
    weights["layer1.0.conv1.weight"].view(-1)[7] = value
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(UserError, match=r"got .* in layer1\.0\.conv1\.weight; the file is damaged, or"):
        load_weights(resnet8(5), path)


def test_a_legacy_file_still_loads(source: ResNet, tmp_path: Path) -> None:
    torch.save(source.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    model = resnet8(5)
    load_weights(model, tmp_path / "old.pth")
    assert torch.equal(model.conv1.weight, source.conv1.weight)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file of weights at .*teacher\.pth"):
        read_state_dict(tmp_path / "teacher.pth")


def test_no_classifier_head() -> None:
    with pytest.raises(ValueError, match="expected weights with a classifier head"):
        count_classes({"weight": torch.ones(3)})


@pytest.mark.parametrize("content", [b"hello", b"", b"\x00" * 9, b"epoch,accuracy\n1,0.5\n"])
def test_bytes_that_are_no_weights_are_named(tmp_path, content):
    (tmp_path / "junk.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"junk.pt (cannot be read: expected a file of torch.save|is no file of torch)"):
        read_state_dict(tmp_path / "junk.pt")
