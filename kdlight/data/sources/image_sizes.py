"""Find the typical size of the images in a folder."""

from itertools import islice
from pathlib import Path
from statistics import median_high

from PIL import Image

OF_EACH_CLASS = 10  # how many images of each class are read


def find_typical_side(folder: Path) -> int | None:
    """Return the median, in pixels, of the shorter sides of a few images per class; None if no image can be read.

    Only the headers of the files are read. Files and folders that cannot be read raise no error here; they are reported
    later, when the data module lists the images.

    Args:
        folder: The folder that contains the class folders.
    """
    sides: list[int] = []
    try:
        for of_class in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = (path for path in of_class.rglob("*") if path.is_file() and not path.name.startswith("."))
            sides += [side for file in islice(files, OF_EACH_CLASS) if (side := _read_shorter_side(file)) is not None]
    except OSError:
        return None
    return median_high(sides) if sides else None


def _read_shorter_side(file: Path) -> int | None:
    try:
        with Image.open(file) as image:
            return min(image.size)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
