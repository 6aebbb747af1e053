"""What every picture has in common: its format, its frame, its file."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlight.errors import UserError
from kdlight.files import replacing

__all__ = ["frame", "require_format", "save_picture"]


def require_format(file: Path) -> None:
    """Refuse a file whose suffix names no format of pictures.

    Raises:
        UserError: If it does not.
    """
    known = Figure().canvas.get_supported_filetypes()
    if file.suffix.removeprefix(".") not in known:
        raise UserError(f"{file}: expected a picture format among {', '.join(sorted(known))}, got '{file.suffix}'")


def frame(axis: Axes) -> None:
    """Draw no box, and a line at 0."""
    axis.axhline(0, color="black", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def save_picture(figure: Figure, file: Path, caption: str = "") -> None:
    """Write the picture whole, with a line below it that says what was measured.

    Args:
        figure: The picture, in constrained layout.
        file: Where; the suffix says the format.
        caption: Data set, split, number of images, symbols.

    Raises:
        UserError: If there is no such format.
    """
    require_format(file)
    if caption:
        figure.supxlabel(caption, fontsize=8, color="#444444")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as draft:
        figure.savefig(draft, dpi=150, format=file.suffix.removeprefix("."))
