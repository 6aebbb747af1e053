"""Lets torchvision be imported beside a CPU-only torch.

The torchvision of the package registry is linked against CUDA. Beside a CPU-only torch its operators cannot be loaded,
and `torchvision/_meta_registrations.py`, which describes them to torch whether they were loaded or not, raises
`operator torchvision::nms does not exist` (pytorch/vision issues 8985, 9077 and 9085). `import lightning` and
`import torchmetrics` then fail as well, because they import torchvision wherever it is installed.

`install`, which `import kdlight` calls, hooks the import of that one module and declares the missing operators first.
Declared operators have a schema and no kernel: models, transforms and data sets work, calling `nms` still raises.
Nothing happens where torchvision loaded its operators, nor where torch has CUDA (a broken pair must stay visible
there), and torch is not imported before torchvision imports it.
"""

import sys
from collections.abc import Sequence
from types import ModuleType


def install() -> None:
    """Put the import hook in place, once."""
    if not any(isinstance(finder, _OperatorFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OperatorFinder())


class _OperatorFinder:
    """Finds no module itself; it only learns that one is about to be imported."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /) -> None:
        # By now torchvision's own `extension` module has tried to load the operators.
        if fullname == "torchvision._meta_registrations":
            _declare_missing_operators()


def _declare_missing_operators() -> None:
    import torch
    from torchvision.extension import _has_ops

    if _has_ops() or torch.version.cuda is not None:
        return
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
