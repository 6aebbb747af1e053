import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kdlight.data.cifar import CIFAR10DataModule, CIFAR100DataModule
from kdlight.data.sources.cifar_files import CIFAR10, CIFAR100, Layout, read_files

Write = Callable[..., Path]
Publish = Callable[[Path, Layout], None]
ALL = [*CIFAR10, *CIFAR100]


@pytest.mark.parametrize("layouts", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("part", ["train", "test"])
def test_both_layouts_give_the_same_tensors(layouts: tuple[Layout, ...], part: str, write_cifar: Write) -> None:
    (one, _), (other, _) = (
        read_files(write_cifar(layout), layout, part, accept_modified=True)  # type: ignore[arg-type]
        for layout in layouts
    )
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.target, other.target)
    assert one.images.shape[1:] == (3, 32, 32)
    assert one.targets.keys() == other.targets.keys() == layouts[0].labels.keys() - {"target"}
    for name in one.targets:
        assert torch.equal(one.targets[name], other.targets[name])
        assert torch.equal(one.targets[name], one.target // 5)


def test_pixels_are_red_rows_first(write_cifar: Write) -> None:
    layout = CIFAR10[0]
    data_dir = write_cifar(layout)
    samples, _ = read_files(data_dir, layout, "test", accept_modified=True)
    record = (data_dir / layout.folder / "test_batch.bin").read_bytes()[3073:6146]
    assert samples.target[1] == record[0]
    assert samples.images[1, 2, 3, 5] == record[1 + 2 * 1024 + 3 * 32 + 5]


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.folder)
def test_published_files_are_read_without_a_warning(
    layout: Layout, write_cifar: Write, publish: Publish, recwarn: pytest.WarningsRecorder
) -> None:
    data_dir = write_cifar(layout)
    publish(data_dir, layout)
    module_class = CIFAR10DataModule if layout in CIFAR10 else CIFAR100DataModule
    module = module_class(str(data_dir), val_size=10)
    module.setup("fit")
    module.setup("test")
    assert module.train_size == 40 * len(layout.train) - 10
    assert not [warning for warning in recwarn if "published" in str(warning.message)]
    batch = next(iter(module.train_dataloader()))
    assert ("coarse" in batch.targets) == (layout in CIFAR100)


@pytest.mark.parametrize("layout", CIFAR10, ids=lambda layout: layout.folder)
def test_train_batches_takes_the_first_files_whichever_others_lie_there(
    layout: Layout, write_cifar: Write, publish: Publish
) -> None:
    data_dir = write_cifar(layout)
    publish(data_dir, layout)
    every, first = (CIFAR10DataModule(str(data_dir), train_batches=count).read_train() for count in (None, 2))
    assert torch.equal(first.images, every.images[: len(first.images)])
    assert len(every.images) == 5 / 2 * len(first.images)
    for name in list(layout.train)[2:]:
        (data_dir / layout.folder / name).unlink()
    fewer = CIFAR10DataModule(str(data_dir), train_batches=2).read_train()
    assert torch.equal(fewer.images, first.images)
    assert torch.equal(fewer.target, first.target)


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.folder)
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_changed_byte_is_an_error(layout: Layout, part: str, write_cifar: Write, publish: Publish) -> None:
    data_dir = write_cifar(layout)
    publish(data_dir, layout)
    name = list(getattr(layout, part))[-1]
    path = data_dir / layout.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=rf"{name} is truncated or changed.*expected \w+ \w+, found \w+; .*--data.download true.*accept_mod",
    ):
        read_files(data_dir, layout, part, accept_modified=False)  # type: ignore[arg-type]
    _, deviations = read_files(data_dir, layout, part, accept_modified=True)  # type: ignore[arg-type]
    assert len(deviations) == 1
    assert deviations[0].startswith(f"{name} has")


def test_accepting_names_every_file_that_differs(write_cifar: Write, publish: Publish) -> None:
    layout = CIFAR10[1]
    data_dir = write_cifar(layout)
    publish(data_dir, layout)
    folder = data_dir / layout.folder
    (folder / "data_batch_2").unlink()
    (folder / "data_batch_4").write_bytes((folder / "data_batch_3").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"data_batch_2 is missing.*accept_modified"):
        CIFAR10DataModule(str(data_dir)).setup("fit")
    module = CIFAR10DataModule(str(data_dir), accept_modified=True, val_size=0)
    with pytest.warns(UserWarning, match=r"data_batch_2 is missing, data_batch_4 has md5 \w+$"):
        module.setup("fit")
    assert module.train_size == 160


def test_the_test_file_cannot_be_missing(write_cifar: Write) -> None:
    data_dir = write_cifar(CIFAR100[0])
    (data_dir / "cifar-100-binary" / "test.bin").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"test.bin is missing: remove .*cifar-100-binary and run again with --data.download true$",
    ):
        CIFAR100DataModule(str(data_dir), accept_modified=True).setup("test")


def test_a_cut_record_is_an_error_even_where_changes_are_accepted(write_cifar: Write) -> None:
    data_dir = write_cifar(CIFAR100[0])
    path = data_dir / "cifar-100-binary" / "train.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"train.bin cannot be read: 122955 bytes are not a whole number of records"):
        CIFAR100DataModule(str(data_dir), accept_modified=True).setup("fit")


@pytest.mark.filterwarnings("ignore:not the published data set")
def test_a_label_without_a_class_is_an_error(write_cifar: Write) -> None:
    data_dir = write_cifar(CIFAR10[0], classes=11)
    with pytest.raises(ValueError, match="has the label 10, but there are only 10 classes"):
        CIFAR10DataModule(str(data_dir), accept_modified=True).setup("fit")


def test_missing_folder_names_both_layouts(tmp_path: Path) -> None:
    message = rf"cifar-100-binary/ nor cifar-100-python/ is in {tmp_path}: set data_dir .* --data.download true$"
    with pytest.raises(FileNotFoundError, match=message):
        CIFAR100DataModule(str(tmp_path)).setup("fit")


@pytest.mark.filterwarnings("ignore:not the published data set")
def test_fit_does_not_read_the_test_set(write_cifar: Write) -> None:
    data_dir = write_cifar(CIFAR10[0])
    (data_dir / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    module = CIFAR10DataModule(str(data_dir), accept_modified=True, val_size=10)
    module.prepare_data()
    module.setup("fit")
    module.setup("validate")
    with pytest.raises(ValueError, match=r"the test split is not there: run setup\('test'\) first"):
        module.choose_probe_batches("test")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_python_3(protocol: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3072), dtype=np.uint8)
    content = {"data": pixels, "fine_labels": [1] * 40, "coarse_labels": [0] * 40, "filenames": ["a.png"] * 40}
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "test").write_bytes(pickle.dumps(content, protocol))
    samples, _ = read_files(tmp_path, CIFAR100[1], "test", accept_modified=True)
    assert np.array_equal(samples.images.flatten(1).numpy(), pixels)


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b'cbuiltins\neval\n(S\'open("ran", "w")\'\ntR.',
        b"\x80\x04\x8c\x05numpy\x8c\x13ndarray.tofile.real\x93.",
        b"cnumpy\nload\n(S'ran'\ntR.",
        b"cnumpy\nndarray\n(K\x00t\x81}S'tofile'\ncos\nsystem\nsb.",
    ],
)
def test_a_pickle_cannot_run_code(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "train").write_bytes(content)
    with pytest.raises(ValueError, match=r"train cannot be read: .*the pickle asks for (os|builtins|numpy)\."):
        CIFAR100DataModule(str(tmp_path), accept_modified=True).setup("fit")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps([1, 2]), "holds a list"),
        (pickle.dumps({"data": 3}), "the pickle lacks the keys coarse_labels, fine_labels"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.float32)}, 2), "not an array of bytes"),
        (
            pickle.dumps({"data": np.zeros((2, 9), np.uint8), "fine_labels": [1, 2], "coarse_labels": [0, 0]}, 2),
            r"\(2, 9\), not \(2, 3072\)",
        ),
        (b"", "EOFError"),
    ],
)
def test_a_pickle_of_something_else_is_an_error(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "train").write_bytes(content)
    with pytest.raises(ValueError, match=f"train cannot be read: .*{reason}"):
        CIFAR100DataModule(str(tmp_path), accept_modified=True).setup("fit")


def test_what_configs_need_is_known_without_data() -> None:
    for module, classes in ((CIFAR10DataModule("nowhere"), 10), (CIFAR100DataModule("nowhere"), 100)):
        assert module.num_classes == len(set(module.class_names)) == classes
        assert list(module.class_names) == sorted(module.class_names)
        assert module.image_shape == (3, 32, 32)
        assert len(module.mean) == len(module.std) == 3
