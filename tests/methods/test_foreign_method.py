"""A method of someone else: four new files in a copy of the repository, and nothing else is changed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("kdlight", "configs", "tests", "pyproject.toml")
LOSS = '''"""Absolute differences of log-probabilities, a formula of this test."""

__all__ = ["absolute_logits_loss"]

from torch import Tensor

from kdlight.losses.parts.precision import widen_half_precision
from kdlight.losses.parts.shapes import require_same_shape


@widen_half_precision
def absolute_logits_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return the mean of |log p_s - log p_t| over classes and batch, of logits (batch, classes)."""
    require_same_shape(student_logits, teacher_logits)
    return (student_logits.log_softmax(1) - teacher_logits.detach().log_softmax(1)).abs().mean()
'''
METHOD = '''"""Absolute differences of log-probabilities, a method of this test."""

__all__ = ["AbsoluteLogits"]

from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.losses.absolute_logits import absolute_logits_loss
from kdlight.losses.parts.reduction import average_labelled
from kdlight.methods.base.logit_distiller import LogitDistiller, LogitDistillerArguments
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class AbsoluteLogits(LogitDistiller):
    """Match the teacher's log-probabilities by their absolute differences.

    Args:
        student: The network that is trained.
        teacher: The network it learns from.
        absolute_weight: Weight of the absolute differences.
        base: Passed on to `LogitDistiller`.
    """

    saves_teacher = False

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        absolute_weight: Weight = 0.5,
        **base: Unpack[LogitDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        if absolute_weight == 13:
            raise ValueError("a bug of this method")
        self.absolute_weight = absolute_weight

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy and the distance of the log-probabilities."""
        loss = absolute_logits_loss(student.logits, teacher.logits)
        of_target = student.logits.gather(1, batch.target.clamp(min=0)[:, None])[:, 0].square()
        labelled = self.absolute_weight * average_labelled(of_target, batch.target)
        return {**self.task_terms(student, batch), "absolute": self.absolute_weight * loss, "labelled": labelled}
'''
CONFIG = "# Weights of this test.\nmodel: {class_path: kdlight.methods.AbsoluteLogits}\n"
TEST = """import torch

from kdlight.losses.absolute_logits import absolute_logits_loss


def test_zero_where_the_logits_are_equal():
    logits = torch.randn(4, 3)
    assert absolute_logits_loss(logits, logits) == 0
"""
ADDED = {
    "configs/methods/absolute_logits.yaml": CONFIG,
    "kdlight/losses/absolute_logits.py": LOSS,
    "kdlight/methods/absolute_logits.py": METHOD,
    "tests/losses/test_absolute_logits.py": TEST,
}
# The tests that cover every method or loss by themselves.
CONTRACTS = (
    "tests/methods/test_contracts.py",
    "tests/methods/test_arguments.py",
    "tests/methods/test_gradients.py",
    "tests/methods/test_step.py",
    "tests/losses/test_numerics.py",
    "tests/losses/test_absolute_logits.py",
)


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """A copy of the repository, with the method added to what is committed."""
    root = tmp_path_factory.mktemp("copy")
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyi")
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, root / name, ignore=unwanted) if source.is_dir() else shutil.copy(source, root / name)
    (root / ".gitignore").write_text("__pycache__/\n.pytest_cache/\nruns/\n")
    run(root, "git", "init", "--quiet")
    run(root, "git", "add", ".")
    run(root, "git", "-c", "user.name=someone", "-c", "user.email=someone@example.org", "commit", "-qm", "copy")
    for name, text in ADDED.items():
        (root / name).write_text(text)
    return root


def run(root: Path, *command: str, code: int = 0) -> str:
    """Run a command in the copy, which comes before an installed kdlight, and return what it printed."""
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_contracts_find_it_and_hold(copied) -> None:
    named = "AbsoluteLogits or absolute_logits"
    pytest_ = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", "-v", "-k", named)
    said = run(copied, *pytest_, "-m", "not slow", *CONTRACTS)
    for file in CONTRACTS:
        assert f"{file}::" in said, f"no test of {file} covers the new method"
    require_four_new_files_and_no_change(copied)


@pytest.mark.slow
def test_the_command_line_knows_it(copied) -> None:
    python = (sys.executable, "-m", "kdlight")
    assert "absolute_weight" in run(copied, *python, "methods", "absolute_logits")
    fit = ("fit", "--config", "absolute_logits.yaml", "--model.untrained_teacher=true", "--model.teacher_weights=null")
    short = ("--trainer.max_epochs=1", "--trainer.logger=false", "--trainer.enable_progress_bar=false")
    assert "test accuracy" in run(copied, *python, *fit, *short)
    require_four_new_files_and_no_change(copied)


@pytest.mark.slow
def test_its_own_error_keeps_its_traceback(copied) -> None:
    fit = ("fit", "--config", "absolute_logits.yaml", "--model.untrained_teacher=true", "--model.teacher_weights=null")
    said = run(copied, sys.executable, "-m", "kdlight", *fit, "--model.absolute_weight=13", code=1)
    assert "Traceback" in said
    assert "kdlight/methods/absolute_logits.py" in said
    assert "ValueError: a bug of this method" in said


def require_four_new_files_and_no_change(copied) -> None:
    status = run(copied, "git", "status", "--short", "--untracked-files=all")
    assert status.splitlines() == [f"?? {name}" for name in sorted(ADDED)]
