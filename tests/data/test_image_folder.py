"""A folder of one's own photographs: splits, augmentation, broken files."""

from pathlib import Path

import pytest
import torch

from kdlight.data.image_folder import ImageFolderDataModule
from kdlight.data.views.photographs import vary_photograph
from kdlight.errors import UserError
from tests.data.image_sets import write_folder, write_image


def folder(root: Path, **options: object) -> ImageFolderDataModule:
    return ImageFolderDataModule(str(root), **{"image_size": 16, "num_workers": 0, **options})  # type: ignore[arg-type]


def paths(data: ImageFolderDataModule, split: str) -> set[str]:
    return {path.decode() for path in data.get_split(split).paths}  # type: ignore[arg-type, attr-defined]


def test_a_folder_is_all_that_is_needed(tmp_path: Path) -> None:
    data = ImageFolderDataModule(str(write_folder(tmp_path)))
    assert (data.image_shape, data.num_classes, data.photographs) == ((3, 64, 64), 3, True)
    assert data.val_size > 0
    data.setup("fit")
    assert (data.train_size, data.val_size, len(data.get_split("val"))) == (20, 4, 4)
    assert sorted(data.get_split("val").target.unique().tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("side", "size"), [(20, 64), (64, 64), (65, 96), (200, 224), (500, 224)])
def test_random_weights_see_images_as_large_as_they_are(side: int, size: int, tmp_path: Path) -> None:
    for label in range(2):
        for place in range(3):
            write_image(tmp_path / f"class{label}/{place}.jpg", place, size=(side + 30, side if place else 999))
    (tmp_path / "class0/broken.jpg").write_bytes(b"no image")
    assert ImageFolderDataModule.choose_image_size(tmp_path) == size
    assert ImageFolderDataModule(str(tmp_path)).image_shape == (3, size, size)


def test_the_size_of_images_that_are_not_there_is_that_of_photographs(tmp_path: Path) -> None:
    assert ImageFolderDataModule.choose_image_size(tmp_path / "nowhere") == 224
    assert ImageFolderDataModule.choose_image_size(tmp_path) == 224


def test_class_folders_alone_are_split_always_alike(tmp_path: Path) -> None:
    write_folder(tmp_path, train=20, test=0)
    data, again = (folder(tmp_path / "train") for _ in range(2))
    for module in (data, again):
        module.setup("fit")
        module.setup("test")
    parts = [paths(data, name) for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [43, 8, 9]
    assert len(set.union(*parts)) == 60
    assert paths(again, "test") == parts[2]
    assert data.class_names == ("class0", "class1", "class2")


def test_val_beside_test_is_for_validation(tmp_path: Path) -> None:
    write_folder(tmp_path, test_folder="val")
    data = folder(write_folder(tmp_path))
    data.setup("fit")
    assert (data.train_size, data.val_size) == (24, 6)
    assert {path.partition("/")[0] for path in paths(data, "val")} == {"val"}
    assert len(data.val_dataloader()) == 1
    assert folder(tmp_path, val_size=3).val_size == 3


def test_training_images_are_varied_by_their_seed_alone(tmp_path: Path) -> None:
    photograph = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    first = vary_photograph(photograph, 1)
    before = torch.get_rng_state()
    assert torch.equal(vary_photograph(photograph, 1), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, photograph)
    assert not torch.equal(vary_photograph(photograph, 2), first)
    write_folder(tmp_path)
    varied, cropped = folder(tmp_path), folder(tmp_path, augmentation="crops")
    for module in (varied, cropped):
        module.setup("fit")
    index = torch.arange(4)
    views = varied.views.draw(0)
    seen = [module.get_split("train").with_views(views).fetch_batch(index).images for module in (varied, cropped)]
    assert not torch.equal(*seen)
    assert torch.equal(seen[0][0], vary_photograph(seen[1][0], int(views["0.crop"][0])))
    assert torch.equal(
        varied.get_split("train").fetch_batch(index).images, cropped.get_split("train").fetch_batch(index).images
    )
    assert varied.describe_transform() != cropped.describe_transform()


def test_broken_files_are_skipped_where_asked_and_counted(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for place in (2, 4):
        (tmp_path / f"train/class1/{place}.png").write_bytes(b"\x89PNG of nothing")
    refusing = folder(tmp_path, batch_size=24, val_size=0)
    refusing.setup("fit")
    with pytest.raises(UserError, match=r"train/class1/\d.png cannot be decoded .* or set broken: skip\n") as caught:
        list(refusing.train_dataloader())
    said = str(caught.value).splitlines()
    assert said[1:] == ["2 of the 24 images cannot be decoded: train/class1/2.png, train/class1/4.png"]
    skipping = folder(tmp_path, broken="skip", val_size=0)
    with pytest.warns(UserWarning, match=r"leaves out 2 of 24 images .*: train/class1/2.png, train/class1/4.png"):
        skipping.setup("fit")
    assert skipping.train_size == 22
    assert skipping.get_split("train").target.bincount().tolist() == [8, 6, 8]
    assert sum(len(batch.target) for batch in skipping.train_dataloader()) == 22


def test_a_folder_that_is_also_the_test_set_is_searched_for_broken_files_once(tmp_path: Path) -> None:
    write_folder(tmp_path, train=20, test=0)
    (tmp_path / "train/class1/2.png").write_bytes(b"no image")
    skipping = folder(tmp_path / "train", broken="skip")
    with pytest.warns(UserWarning, match=r"leaves out 1 of 60 images .*: class1/2.png"):
        skipping.setup("fit")
    skipping.setup("test")  # another warning would be an error


def test_where_every_file_is_broken_there_is_nothing_to_skip(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=2, train=1)
    for name in ("class0", "class1"):
        (tmp_path / "train" / name / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"none of the 2 images .* can be decoded: train/class0/0.png"):
        folder(tmp_path, broken="skip").setup("fit")


@pytest.mark.parametrize("named", ["nowhere", "", ".", "train", "..", "../other", "train/class0/0.png"])
def test_a_test_folder_holds_other_images_of_the_same_data_set(named: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    write_folder(tmp_path / "other")
    data = folder(tmp_path / "data", test_folder=named)
    for read in (data.read_train, data.read_test):
        with pytest.raises(UserError, match=f"test_folder: expected the name of a folder inside .*got {named!r}"):
            read()


def test_a_test_folder_may_have_any_name_and_be_a_link(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", test_folder="kept")
    write_folder(tmp_path / "data", test_folder="newer/photographs")
    (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere/kept")
    for name in ("newer/photographs", "linked"):
        data = folder(tmp_path / "data", test_folder=name)
        data.setup("test")
        assert {path.rpartition("/class")[0] for path in paths(data, "test")} == {name}
