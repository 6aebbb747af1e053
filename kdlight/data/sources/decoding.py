"""Decode image files of different formats and modes to upright RGB tensors with 8 bits per colour."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from kdlight.errors import UserError


def decode(path: Path, *, coarse: bool = False) -> Tensor:
    """Decode an image file to (3, height, width) uint8, turned upright as its EXIF orientation says.

    A grey image gets three equal channels. Palettes, CMYK and other modes are converted to RGB. Transparency is
    dropped, as in torchvision. Of grey values with 16 bits, the higher 8 bits are kept; Pillow does the same with
    colours of 16 bits.

    Args:
        path: The file.
        coarse: Decode a JPEG at an eighth of its height and width, to check quickly whether the file is broken. All
            bytes are still read, so the same damage is found as at full size.

    Raises:
        UserError: If the path does not exist or is no regular file, or if the file is broken, has several frames
            (unless it is an MPO file), or has pixels without a fixed range (32-bit integers or floating point numbers).
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for somebody to write to it
            kind = "folder" if path.is_dir() else "pipe, socket or device"
            raise UserError(f"expected an image file, got a {kind}: take it out of the data")
        with Image.open(path) as image:
            if coarse:
                image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            return torch.from_numpy(np.array(_to_rgb(image))).permute(2, 0, 1)
    except Exception as error:  # Decoding a broken file can raise anything.
        raise UserError(f"{path.absolute()} cannot be decoded ({' '.join(str(error).split())})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    # Of several frames, Pillow decodes the first. In an MPO file (several JPEGs in one file, written by phones), the
    # first is the picture itself, and a preview or the picture of a second lens follows.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise UserError(f"expected one picture, got {frames} frames or pages: save only the one you need")
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating point numbers"
        raise UserError(f"expected 8 or 16 bits a colour, got {kind}, whose range is not known: convert the image")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
