"""Image files of every kind: decoded right, or refused by name."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdlight.data.sources.decoding import decode
from kdlight.errors import UserError

GREY = np.array([[0, 40, 80], [120, 200, 255]], np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], -1)


def expect(path: Path, pixels: np.ndarray, *, within: int = 0) -> None:
    pixels = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1)
    found = decode(path)
    assert found.dtype == torch.uint8
    assert found.shape == (3, *pixels.shape[:2])
    assert np.abs(found.permute(1, 2, 0).numpy().astype(int) - pixels.astype(int)).max() <= within


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_16_bits_the_higher_8_are_kept(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(GREY.astype(np.uint16) * 256 + 77).save(path)
    with Image.open(path) as image:
        assert image.mode.startswith("I;16")
    expect(path, GREY)


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [(GREY.astype(np.float32) / 255, "floating point numbers"), (GREY.astype(np.int32) * 1000, "32-bit integers")],
)
def test_pixels_without_a_range_are_refused(pixels: np.ndarray, kind: str, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "image.tif")
    with pytest.raises(UserError, match=rf"image\.tif cannot be decoded \(expected 8 or 16 bits a colour, got {kind}"):
        decode(tmp_path / "image.tif")


def test_one_bit_grey_and_alpha(tmp_path: Path) -> None:
    grey, rgb = Image.fromarray(GREY), Image.fromarray(RGB)
    alpha = Image.fromarray(255 - GREY)
    Image.fromarray(GREY > 100).save(tmp_path / "bit.png")
    expect(tmp_path / "bit.png", np.where(GREY > 100, 255, 0))
    Image.merge("LA", (grey, alpha)).save(tmp_path / "grey.png")
    expect(tmp_path / "grey.png", GREY)
    Image.merge("RGBA", (*rgb.split(), alpha)).save(tmp_path / "colour.png")
    expect(tmp_path / "colour.png", RGB)


@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80\xff"])
def test_palettes(transparency: int | bytes | None, tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(6)
    expected = np.array(image.convert("RGB"))
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "palette.png", **options)
    expect(tmp_path / "palette.png", expected)


def test_cmyk(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "image.tif")
    expect(tmp_path / "image.tif", RGB, within=1)
    flat = np.full((16, 16, 3), (200, 60, 10), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "image.jpg", quality=95)
    expect(tmp_path / "image.jpg", flat, within=4)


def test_the_orientation_of_a_photograph_is_followed(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "image.png", exif=exif)
    expect(tmp_path / "image.png", np.rot90(RGB, -1))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_several_frames_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(RGB).save(path, save_all=True, append_images=[Image.fromarray(255 - RGB)])
    with pytest.raises(UserError, match=rf"image\.{suffix} cannot be decoded \(expected one picture, got 2 frames"):
        decode(path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image.png")
    with pytest.raises(UserError, match=r"image\.png cannot be decoded \(expected an image file, got a pipe"):
        decode(tmp_path / "image.png")


@pytest.mark.parametrize("coarse", [False, True])
def test_a_truncated_jpeg_is_found_coarsely_too(coarse: bool, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.jpg")
    assert decode(tmp_path / "image.jpg", coarse=coarse).shape == ((3, 8, 8) if coarse else (3, 64, 64))
    content = (tmp_path / "image.jpg").read_bytes()
    (tmp_path / "image.jpg").write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(UserError, match="truncated"):
        decode(tmp_path / "image.jpg", coarse=coarse)
