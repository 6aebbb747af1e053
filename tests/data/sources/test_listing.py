"""Class folders as people have them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdlight.data.image_folder import ImageFolderDataModule
from kdlight.data.sources.listing import list_classes, list_images
from kdlight.errors import UserError
from tests.data.image_sets import write_folder, write_image

CLASSES = ("class0", "class1", "class2")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path)


def test_the_order_is_torchvisions(root: Path) -> None:
    from torchvision.datasets import ImageFolder

    write_image(root / "train" / "class1" / "deep" / "er" / "x.PNG", 1)
    write_image(root / "train" / "class1" / "a" / "y.jpeg", 1)
    (root / "train" / "class2" / "notes.txt").write_text("no image")
    theirs = ImageFolder(str(root / "train"))
    listing = list_images(root, "train", CLASSES)
    assert [str(root / path) for path in listing.paths] == [path for path, _ in theirs.samples]
    assert listing.target.tolist() == theirs.targets


def test_what_tools_leave_behind_is_no_class_and_no_image(root: Path) -> None:
    before = list_images(root, "train", CLASSES)
    for name in (".ipynb_checkpoints", "__pycache__", "__MACOSX", ".hidden", "class0/.ipynb_checkpoints"):
        write_image(root / "train" / name / "0-checkpoint.png", 1)
    (root / "train" / "class1" / "._0.jpg").write_bytes(b"a resource fork")
    assert list_classes(root / "train") == CLASSES
    assert list_images(root, "train", CLASSES).paths == before.paths


@pytest.mark.parametrize("folder", ["train", "train/class1"])
def test_a_folder_that_may_not_be_read_is_an_error(folder: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(plain: Callable[..., Any]) -> Callable[..., Any]:
        def listed(path: Any = ".") -> Any:
            if str(path) == str(root / folder):
                raise PermissionError(13, "Permission denied", str(path))
            return plain(path)

        return listed

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(UserError, match=rf"{root / folder} cannot be read \(Permission denied\)"):
        list_images(root, "train", CLASSES)


def test_a_link_to_nothing_is_an_error(root: Path) -> None:
    (root / "train" / "class3").symlink_to(root / "gone")
    with pytest.raises(UserError, match="class3 is a link to nothing"):
        list_classes(root / "train")


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("folder", ["train", "test"])
def test_a_class_without_images_is_named(folder: str, gone: bool, root: Path) -> None:
    for path in (root / folder / "class1").iterdir():
        path.unlink()
    if gone:
        (root / folder / "class1").rmdir()
    with pytest.warns(UserWarning, match=rf"{folder} has no image of 1 of the 3 classes: class1$"):
        listing = list_images(root, folder, CLASSES)
    assert set(listing.target.tolist()) == {0, 2}


def test_a_damaged_test_image_is_found_by_a_check(root: Path) -> None:
    module = ImageFolderDataModule(str(root), num_workers=0)
    module.setup("test")
    module.get_split("test").check_images()
    path = root / "test" / "class1" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=f"{path} cannot be decoded"):
        module.get_split("test").check_images()
