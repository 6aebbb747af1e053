"""What pyproject.toml cannot say: the build writes the stubs of lazy packages, and copies configs/ into the package."""

import importlib.util
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE = Path(__file__).parent / "kdlight"


class BuildWithStubs(build_py):
    """Copy the package, and write stubs and configurations into the copy.

    An editable install has the stubs beside the sources and finds the configurations in the clone.
    """

    def run(self) -> None:
        """Build."""
        super().run()
        # By its path: importing kdlight needs libraries that a build does not have.
        spec = importlib.util.spec_from_file_location("lazy", SOURCE / "lazy.py")
        lazy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(lazy)
        lazy.write_stubs(SOURCE, SOURCE if self.editable_mode else Path(self.build_lib) / "kdlight")
        if not self.editable_mode:
            shutil.copytree(SOURCE.parent / "configs", Path(self.build_lib) / "kdlight/configs", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithStubs})
