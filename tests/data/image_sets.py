"""Tiny data sets of image files in the published layouts."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, seed: int, *, size: tuple[int, int] = (64, 64), mode: str = "RGB") -> None:
    """Smooth colours, so that a JPEG of them is nearly what was drawn; (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR).convert(mode).save(path)


def write_folder(root: Path, *, classes: int = 3, train: int = 8, test: int = 2, test_folder: str = "test") -> Path:
    """torchvision's layout; images of several sizes, every fourth one grey."""
    for folder, count in (("train", train), (test_folder, test)):
        for label in range(classes):
            for place in range(count):
                seed = 1000 * (folder == "train") + 100 * label + place
                size = (40 + 7 * (seed % 5), 36 + 11 * (seed % 3))
                path = root / folder / f"class{label}" / f"{place}.{'jpg' if place % 2 else 'png'}"
                write_image(path, seed, size=size, mode="L" if place % 4 == 3 else "RGB")
    return root


def write_tiny_imagenet(root: Path, *, classes: int = 3, train: int = 5, test: int = 2) -> Path:
    """Tiny-ImageNet's layout; the lists are not in the order of the ids. Returns the folder above."""
    root = root / "tiny-imagenet-200"
    wnids = [f"n{label:08d}" for label in range(classes)]
    for label, wnid in enumerate(wnids):
        for place in range(train):
            name = f"{wnid}_{place}.JPEG"
            write_image(root / "train" / wnid / "images" / name, 10 * label + place, mode="L" if place == 1 else "RGB")
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("no image\n")
    lines = []
    for place in range(classes * test):
        name = f"val_{place}.JPEG"
        write_image(root / "val" / "images" / name, 500 + place)
        lines.append(f"{name}\t{wnids[place % classes]}\t0\t1\t60\t61\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in reversed(wnids)))
    (root / "words.txt").write_text("".join(f"{wnid}\tname {wnid[-1]}, other name\n" for wnid in reversed(wnids)))
    return root.parent


def write_cub(root: Path, *, classes: int = 4, each: int = 6) -> Path:
    """CUB-200-2011's layout, every third image a test image. Returns the folder above."""
    root = root / "CUB_200_2011"
    lists: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": [], "classes": []}
    number = 0
    for label in range(1, classes + 1):
        folder = f"{label:03d}.Bird_{label}"
        lists["classes"].append(f"{label} {folder}")
        for place in range(each):
            number += 1
            write_image(root / "images" / folder / f"Bird_{place}.jpg", number, size=(50, 40))
            lists["images"].append(f"{number} {folder}/Bird_{place}.jpg")
            lists["image_class_labels"].append(f"{number} {label}")
            lists["train_test_split"].append(f"{number} {int(place % 3 != 2)}")
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root.parent
