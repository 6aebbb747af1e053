"""Lets torchvision be imported beside a CPU-only torch.

The torchvision of the Python package index is linked against CUDA. Beside a CPU-only torch its operators cannot be
loaded. `torchvision/_meta_registrations.py`, which describes the operators to torch even if they were not loaded, then
raises `operator torchvision::nms does not exist` (pytorch/vision issues 8985, 9077 and 9085). `import lightning` and
`import torchmetrics` then fail as well, because they import torchvision wherever it is installed.

`import kdlight` calls `install`, which hooks the import of `_meta_registrations`. Right before `_meta_registrations` is
executed, the hook declares the two operators that this module needs: `nms` and `qnms`. Declared operators have a schema
but no kernel: models, transforms and data sets work, but calling `nms` still raises an error. Nothing is declared if
torchvision has loaded its operators, or if torch was built with CUDA. If operators are missing beside a torch with
CUDA, the two packages do not fit together, and the user must see torchvision's error. `install` does not import torch.
"""

import sys
from collections.abc import Sequence
from types import ModuleType

from kdlight.internals import has_torchvision_operators


def install() -> None:
    """Install the import hook, unless it is installed already."""
    if not any(isinstance(finder, _OperatorFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OperatorFinder())


class _OperatorFinder:
    """Declares the missing operators when `_meta_registrations` is about to be imported; it finds no module itself."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /) -> None:
        # By now torchvision's own `extension` module has tried to load the operators.
        if fullname == "torchvision._meta_registrations":
            _declare_missing_operators()


def _declare_missing_operators() -> None:
    import torch
    from torchvision import extension

    if has_torchvision_operators(extension) or torch.version.cuda is not None:
        return
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
