"""Check the format of a picture's file, draw the picture's frame, and write the file."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.errors import UserError
from kdlight.files import replace_file

__all__ = ["draw_frame", "require_format", "save_picture"]

#: At least this many characters of font size 8 fit into an inch.
CHARACTERS_PER_INCH = 14


def require_format(file: Path) -> None:
    """Check that the suffix of a file is a picture format that matplotlib can write.

    Raises:
        UserError: If the suffix is not a picture format.
    """
    known = Figure().canvas.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise UserError(f"{file}: expected a picture format among {', '.join(sorted(known))}, got '{file.suffix}'")


def draw_frame(axis: Axes) -> None:
    """Remove the upper and the right side of the box around the axes, and draw a horizontal line at 0."""
    axis.axhline(0, color="black", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def save_picture(figure: Figure, file: Path, caption: str = "") -> None:
    """Write the picture atomically, with the caption below it.

    Args:
        figure: The picture, in constrained layout.
        file: The picture's file; its suffix is the format.
        caption: How the values were measured, such as the data set and the number of images. A long caption is wrapped.

    Raises:
        UserError: If the suffix is not a picture format.
    """
    require_format(file)
    if caption:
        wrapped = textwrap.fill(caption, int(CHARACTERS_PER_INCH * figure.get_figwidth()))
        figure.supxlabel(wrapped, fontsize=8, color="#444444")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file) as draft:
        figure.savefig(draft, dpi=150, format=file.suffix.removeprefix("."))
