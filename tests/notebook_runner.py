"""Run notebooks without a browser, for their test; ``python -m tests.notebook_runner FILE …`` keeps new outputs."""

import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

# One thread, so that numbers do not depend on the number of cores; of a kernel's start only errors are of interest.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "KDLIGHT_DEBUG": ""}


def run_notebook(file: Path, folder: Path) -> NotebookNode:
    """Run a notebook from its first to its last cell and return it with its outputs.

    Args:
        file: The notebook.
        folder: Where its kernel runs, and its runs lie.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(file, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", record_timing=False, resources=resources)
    with mock.patch.dict(os.environ, ENVIRONMENT):
        client.execute()
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel's has the versions of this machine
    return notebook


def main(files: list[str]) -> None:
    """Run notebooks in a temporary folder and keep their outputs; they share the teacher."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            notebook = run_notebook(Path(file), Path(folder))
            nbformat.write(notebook, file)
            print(f"kept the outputs of {file}")


if __name__ == "__main__":
    main(sys.argv[1:])
