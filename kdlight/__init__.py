"""Knowledge distillation on PyTorch Lightning, and measurements of the information that student and teacher share.

Import kdlight before lightning or torchvision. Otherwise importing them fails if torch is a CPU-only build and
torchvision comes from the Python package index. The docstring of `kdlight.torchvision_shim` explains the reason.
"""

from typing import TYPE_CHECKING, Any

from kdlight import late_imports, torchvision_shim

if TYPE_CHECKING:
    from kdlight.cli.from_python import fit as fit
    from kdlight.workbench.ablate.ablation import ablate as ablate
    from kdlight.workbench.finished_runs import Run as Run
    from kdlight.workbench.finished_runs import load_runs as load_runs

torchvision_shim.install()
late_imports.install()

# Each public name with the module that defines it. The module is imported when the name is first used, so that
# `import kdlight` stays fast.
PUBLIC = {
    "ablate": "kdlight.workbench.ablate.ablation",
    "fit": "kdlight.cli.from_python",
    "Run": "kdlight.workbench.finished_runs",
    "load_runs": "kdlight.workbench.finished_runs",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("kdlight")
    if name not in PUBLIC:
        raise AttributeError(f"module 'kdlight' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
