"""What pyproject.toml cannot say: the build writes the stubs of the packages whose names are lazy."""

import importlib.util
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE = Path(__file__).parent / "kdlight"


class BuildWithStubs(build_py):
    """Copy the package, and write the stubs into the copy; an editable install has them beside the sources."""

    def run(self) -> None:
        """Build."""
        super().run()
        # By its path: importing kdlight needs libraries that a build does not have.
        spec = importlib.util.spec_from_file_location("lazy", SOURCE / "lazy.py")
        lazy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(lazy)
        lazy.write_stubs(SOURCE, SOURCE if self.editable_mode else Path(self.build_lib) / "kdlight")


setup(cmdclass={"build_py": BuildWithStubs})
