"""Each data set of image files in its published layout: counts, classes, what is missing or changed."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdlight.data import cub, imagenet, tiny_imagenet
from kdlight.data.cub import CUBDataModule
from kdlight.data.image_folder import ImageFolderDataModule
from kdlight.data.imagenet import ImageNetDataModule
from kdlight.data.tiny_imagenet import TinyImageNetDataModule
from kdlight.errors import UserError
from tests.data.image_sets import write_cub, write_folder, write_image, write_tiny_imagenet


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published counts, for sets of a few images."""
    monkeypatch.setattr(tiny_imagenet, "TRAIN_PER_CLASS", 5)
    monkeypatch.setattr(tiny_imagenet, "TEST_PER_CLASS", 2)
    monkeypatch.setattr(imagenet, "TRAIN_IMAGES", 24)
    monkeypatch.setattr(imagenet, "TEST_IMAGES", 6)
    monkeypatch.setattr(cub, "TRAIN_IMAGES", 16)
    monkeypatch.setattr(cub, "TEST_IMAGES", 8)


def tiny(root: Path, **options: object) -> TinyImageNetDataModule:
    return TinyImageNetDataModule(str(root), **{"num_classes": 3, "val_size": 3, **options})  # type: ignore[arg-type]


def image_net(root: Path, **options: object) -> ImageNetDataModule:
    defaults = {"num_classes": 3, "val_size": 3, "image_size": 16, "num_workers": 0}
    return ImageNetDataModule(str(root), **{**defaults, **options})  # type: ignore[arg-type]


def birds(root: Path, **options: object) -> CUBDataModule:
    return CUBDataModule(str(root), **{"val_size": 4, "image_size": 16, "num_workers": 0, **options})  # type: ignore[arg-type]


def write_image_net(root: Path) -> Path:
    return write_folder(root, test_folder="val")


SETS = [
    pytest.param(write_tiny_imagenet, tiny, 12, 6, id="TinyImageNet"),
    pytest.param(write_image_net, image_net, 21, 6, id="ImageNet"),
    pytest.param(write_cub, birds, 12, 8, id="CUB"),
]
EVERY = pytest.mark.parametrize(("write", "build", "train", "test"), SETS)


@EVERY
def test_a_published_set_is_read_without_a_warning(
    write: Callable[[Path], Path], build: Callable[..., ImageFolderDataModule], train: int, test: int, tmp_path: Path
) -> None:
    data = build(write(tmp_path), batch_size=5)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert data.train_size == train
    assert len(data.get_split("test")) == test
    images = [batch.images for batch in data.train_dataloader()]
    assert {image.shape[1:] for image in images} == {data.image_shape}
    assert {image.dtype for image in images} == {torch.uint8}
    assert len(data.class_names) in (data.num_classes, 4)
    labels = data.get_split("train").target.unique().tolist()
    assert labels == list(range(len(labels)))
    assert len(labels) > 2


@EVERY
def test_subsets_of_each_class(
    write: Callable[[Path], Path], build: Callable[..., ImageFolderDataModule], train: int, test: int, tmp_path: Path
) -> None:
    root = write(tmp_path)
    few = build(root, train_per_class=2)
    few.setup("fit")
    assert few.get_split("train").target.bincount().tolist() == [2] * (4 if build is birds else 3)
    assert few.train_size < train


@EVERY
def test_another_number_of_images_is_an_error_or_a_warning(
    write: Callable[[Path], Path], build: Callable[..., ImageFolderDataModule], train: int, test: int, tmp_path: Path
) -> None:
    root = write(tmp_path)
    if build is birds:
        path = root / "CUB_200_2011" / "train_test_split.txt"
        path.write_text(path.read_text().replace(" 1\n", " 0\n", 1))
        found = "train_test_split.txt is not as published: expected 16 images, found 15"
    else:
        image = sorted(
            path for path in root.rglob("*.*") if "train" in path.parts and path.suffix in (".JPEG", ".jpg")
        )[0]
        image.unlink()
        counts = "expected 24 images, found 23" if build is image_net else "expected 5 images, found 4"
        found = f"is not as published: {counts}"
    with pytest.raises(ValueError, match=f"{found}; .*or set accept_modified: true") as caught:
        build(root).setup("fit")
    assert "\n" not in str(caught.value)
    data = build(root, accept_modified=True)
    with pytest.warns(UserWarning, match="not the published data set, accepted"):
        data.setup("fit")
    assert data.train_size == train - 1


@pytest.mark.parametrize(
    ("write", "build", "remedy"),
    [
        (write_image_net, image_net, "take it out of the data set and set accept_modified: true"),
        (
            write_cub,
            birds,
            r"remove its lines from images\.txt, .* and train_test_split\.txt and set accept_modified: true",
        ),
    ],
)
def test_a_broken_image_of_a_counted_set_is_taken_out_and_accepted(write, build, remedy, tmp_path: Path) -> None:
    data = build(write(tmp_path))
    data.setup("test")
    data.get_split("test").get_path(0).write_bytes(b"no image")
    with pytest.raises(UserError, match=f"{remedy}$"):
        list(data.test_dataloader())


@EVERY
def test_a_missing_set_says_what_to_do(
    write: Callable[[Path], Path], build: Callable[..., ImageFolderDataModule], train: int, test: int, tmp_path: Path
) -> None:
    data = build(tmp_path / "nowhere")
    assert data.num_classes == (200 if build is birds else 3)
    assert data.image_shape[0] == 3
    with pytest.raises(
        FileNotFoundError, match=rf"{tmp_path}/nowhere.*: set data_dir to the folder that holds"
    ) as caught:
        data.setup("fit")
    assert "\n" not in str(caught.value)


def test_tiny_imagenet_is_read_where_it_lies(tmp_path: Path) -> None:
    data = tiny(write_tiny_imagenet(tmp_path), val_size=0)
    data.setup("fit")
    data.setup("test")
    assert data.class_names == ("name 0", "name 1", "name 2")
    train, test = data.get_split("train"), data.get_split("test")
    assert train.target.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert test.target.tolist() == [0, 1, 2, 0, 1, 2]
    root = tmp_path / "tiny-imagenet-200"
    for place, path in ((1, "train/n00000000/images/n00000000_1.JPEG"), (7, "train/n00000001/images/n00000001_2.JPEG")):
        with Image.open(root / path) as image:
            expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        assert train.images[place].equal(expected)  # type: ignore[attr-defined]
    with Image.open(root / "val/images/val_4.JPEG") as image:
        assert tuple(test.images[4, :, 63, 0].tolist()) == image.getpixel((0, 63))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "wnids.txt").unlink(), r"wnids.txt is missing: .*remove .* --data.download true$"),
        (lambda root: (root / "wnids.txt").write_text("n1\n"), "has 1 classes, but num_classes is 3.*num_classes: 1"),
        (lambda root: (root / "val/val_annotations.txt").unlink(), "val_annotations.txt is missing"),
        (
            lambda root: (root / "val/val_annotations.txt").write_text("a.JPEG\tn9\t0\t0\t1\t1\n"),
            "val_annotations.txt: line 1 has the class 'n9', which is not in wnids.txt",
        ),
        (lambda root: (root / "val/images/val_2.JPEG").write_bytes(b"x"), r"val_2.JPEG cannot be decoded \(.*; remove"),
        (lambda root: (root / "val/images/val_2.JPEG").unlink(), "val_2.JPEG cannot be decoded .*No such file"),
        (
            lambda root: write_image(root / "val/images/val_2.JPEG", 0, size=(32, 64)),
            re.escape("val_2.JPEG is (3, 64, 32), but (3, 64, 64) was expected; remove"),
        ),
        (lambda root: (root / "train/other").mkdir(), "has the class folder other, which is none of the 3 classes"),
    ],
)
def test_a_spoiled_tiny_imagenet_names_what_is_wrong(
    spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    root = write_tiny_imagenet(tmp_path)
    spoil(root / "tiny-imagenet-200")
    data = tiny(root)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        data.setup("fit") or data.setup("test")  # type: ignore[func-returns-value]
    assert "\n" not in str(caught.value)


def test_cub_follows_its_lists(tmp_path: Path) -> None:
    data = birds(write_cub(tmp_path), val_size=0)
    data.setup("fit")
    data.setup("test")
    assert data.num_classes == 200
    assert data.class_names == ("Bird_1", "Bird_2", "Bird_3", "Bird_4")
    train, test = data.get_split("train"), data.get_split("test")
    assert train.target.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert test.paths[1] == b"images/001.Bird_1/Bird_5.jpg"  # type: ignore[attr-defined]
    assert test.target.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("images", None, "images.txt is missing: .*remove .* --data.download true$"),
        ("images", "1 a b\n", r"images.txt: line 1: expected a number and a value: remove .* --data.download true$"),
        ("train_test_split", "1 1\n", "do not have the same image numbers: remove .* --data.download true$"),
        ("image_class_labels", None, "image_class_labels.txt is missing"),
    ],
)
def test_spoiled_lists_of_cub_are_named(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    root = write_cub(tmp_path)
    path = root / "CUB_200_2011" / f"{name}.txt"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        birds(root).setup("fit")


def test_a_class_that_cub_has_not_is_an_error(tmp_path: Path) -> None:
    root = write_cub(tmp_path)
    path = root / "CUB_200_2011" / "image_class_labels.txt"
    path.write_text(path.read_text().replace("1 1\n", "1 201\n", 1))
    with pytest.raises(ValueError, match="has class numbers outside 1 to 200: remove"):
        birds(root).setup("fit")


def test_imagenet_takes_other_classes_only_by_their_number(tmp_path: Path) -> None:
    root = write_image_net(tmp_path)
    with pytest.raises(ValueError, match=r"train has 3 classes, but num_classes is 1000: .*num_classes: 3"):
        image_net(root, num_classes=1000).setup("fit")
    data = image_net(root)
    data.setup("test")
    assert data.class_names == ("class0", "class1", "class2")


def test_imagenet_says_that_it_cannot_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"cannot be downloaded without an account: get ILSVRC2012_img_train.tar"
    ):
        ImageNetDataModule(str(tmp_path), download=True).prepare_data()
    ImageNetDataModule(str(tmp_path)).prepare_data()
    write_image_net(tmp_path)
    ImageNetDataModule(str(tmp_path), download=True).prepare_data()


def folder(root: Path, **options: object) -> ImageFolderDataModule:
    defaults = {"val_size": 3, "image_size": 16, "num_workers": 0}
    return ImageFolderDataModule(str(root), **{**defaults, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("test_folder", ["test", "val"])
def test_any_folder_of_classes(test_folder: str, tmp_path: Path) -> None:
    data = folder(write_folder(tmp_path, test_folder=test_folder))
    assert (data.num_classes, data.class_names, data.image_shape) == (3, ("class0", "class1", "class2"), (3, 16, 16))
    data.setup("fit")
    data.setup("test")
    assert data.train_size == 21
    assert data.get_split("val").target.tolist() == [0, 1, 2]
    assert len(data.get_split("test")) == 6
    with pytest.raises(UserError, match=r"test_folder: expected the name of a folder inside .*, got 'elsewhere'"):
        folder(tmp_path, test_folder="elsewhere").setup("test")


def test_the_classes_of_a_folder_are_asked_for_or_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"there is no {tmp_path}/train: set data_dir"):
        folder(tmp_path).num_classes  # noqa: B018
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/train has no class folders: set data_dir"):
        folder(tmp_path).num_classes  # noqa: B018
    (tmp_path / "train/cat").mkdir()
    with pytest.raises(UserError, match=rf"{tmp_path}/train has only one class folder, cat: expected two or more"):
        folder(tmp_path).num_classes  # noqa: B018
    (tmp_path / "train/cat").rmdir()
    assert folder(tmp_path, num_classes=7).num_classes == 7
    write_folder(tmp_path)
    with pytest.raises(ValueError, match=r"has 3 classes, but num_classes is 7: .*or set num_classes: 3"):
        folder(tmp_path, num_classes=7).setup("fit")
    for path in (tmp_path / "train").rglob("*.*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"train has no images \(.jpg, "):
        folder(tmp_path).setup("fit")


def test_a_folder_without_labels_is_a_transfer_set(tmp_path: Path) -> None:
    data = folder(write_folder(tmp_path), labels=False)
    data.setup("fit")
    assert data.get_split("train").target.tolist() == [-1] * 21
    assert data.get_split("val").target.tolist() == [0, 1, 2]
