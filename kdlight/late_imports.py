"""Execute certain modules not when torchmetrics imports them, but when they are first used. Most runs never use them.

Lightning imports torchmetrics, and torchmetrics imports three things that a run rarely needs: scipy.signal, to put back
the function `hamming`, which scipy has moved; matplotlib, for the type annotations of `plot` methods; and torchvision
with all of its networks, for two metrics of image quality. Together these imports take a quarter of the time that
`kdlight fit` needs to start.

`install`, which `import kdlight` calls, hooks the import of the modules in `LATE`: scipy.signal, and the modules of
torchmetrics that import matplotlib or torchvision. Such a module at first contains only the names that torchmetrics
reads while torchmetrics is imported. Asking for any other name, or importing a submodule, executes the module's true
code in the same module object, so that users of the module see no difference. A module that was imported before kdlight
stays as it is. `importlib.util.LazyLoader` cannot be used, because it executes a module as soon as *any* name is read.
"""

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_PLOT = "torchmetrics.utilities.plot"
_ARNIQA, _DISTS = "torchmetrics.functional.image.arniqa", "torchmetrics.functional.image.dists"
_lock = threading.RLock()


def install() -> None:
    """Put the import hook in place, unless it is there already."""
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())


def _compute_hamming(*args: Any, **kwargs: Any) -> Any:
    """Compute the Hamming window. torchmetrics looks for this function in scipy.signal, where old scipy had it."""
    return importlib.import_module("scipy.signal.windows").hamming(*args, **kwargs)


def _make_callers(module: str, *names: str) -> dict[str, Callable[..., Any]]:
    """Return for each name a function that executes a late module and calls that module's function of this name."""

    def make(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            executed = importlib.import_module(module)
            if isinstance(executed, _LateModule):
                executed.execute()
            return getattr(executed, name)(*args, **kwargs)

        return call

    return {name: make(name) for name in names}


# The names that torchmetrics reads from each module while torchmetrics is imported. They have these values until the
# module is executed.
LATE: dict[str, dict[str, Any]] = {
    "scipy.signal": {"hamming": _compute_hamming},
    _PLOT: {
        **dict.fromkeys(("_AX_TYPE", "_CMAP_TYPE", "_PLOT_OUT_TYPE"), Any),  # annotations
        **_make_callers(_PLOT, "plot_confusion_matrix", "plot_curve", "plot_single_or_multi_val"),
    },
    _ARNIQA: _make_callers(_ARNIQA, "arniqa"),
    _DISTS: _make_callers(_DISTS, "deep_image_structure_and_texture_similarity", "_dists_update"),
}


class _LateModule(ModuleType):
    """A module that executes its code when it is asked for a name that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        # `from module import name` also asks for `__path__`. That must not execute a module that is no package.
        assert self.__spec__ is not None
        if (name == "__path__" and self.__spec__.submodule_search_locations is None) or not self.execute():
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self, name)

    def execute(self) -> bool:
        """Execute the true code.

        Returns:
            Whether the code has run to its end. False if the code, while it runs, asks its own module for a name that
            the module does not have yet.
        """
        spec = self.__spec__
        assert spec is not None
        loader = spec.loader
        with _lock:
            if not isinstance(loader, _LateLoader) or type(self) is not _LateModule:
                return True  # another thread has executed the code already
            if loader.executing:
                return False
            loader.executing = True
            if spec.submodule_search_locations is not None:
                self.__path__ = spec.submodule_search_locations
            try:
                loader.true_loader.exec_module(self)
            except BaseException:
                vars(self).pop("__path__", None)  # the next attempt begins anew
                raise
            finally:
                loader.executing = False
            spec.loader = self.__loader__ = loader.true_loader
            self.__class__ = ModuleType  # type: ignore[assignment]  # from here on it is a module like any other
            return True


class _LateLoader(Loader):
    """Makes a module without executing it.

    Args:
        true_loader: The loader that executes the module later.
        names: The names that the module has before it is executed, with their values.

    Attributes:
        executing: Whether the true code is running now.
    """

    def __init__(self, true_loader: Loader, names: dict[str, Any]) -> None:
        self.true_loader = true_loader
        self.names = names
        self.executing = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as the true loader does."""
        return self.true_loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its first names, and nothing else."""
        vars(module).update(self.names)
        vars(module).pop("__path__", None)  # so that importing a submodule executes this module
        module.__class__ = _LateModule


class _LateFinder:
    """Finds the modules of `LATE` where Python finds them, and gives them a loader that does not execute them yet."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader, LATE[fullname])
        return spec
