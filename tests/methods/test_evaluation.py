"""Accuracy and loss of a split: means over its images, however these come in batches and to processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from kdlight.callbacks.classification_measures import ClassificationMeasures
from kdlight.data.digits import DigitsDataModule
from kdlight.methods.kd import KD
from tests.methods.conftest import build, trainer

ROOT = Path(__file__).parents[2]


def evaluate(val_size, *, test_size=None, eval_batch_size=64, **options):
    """Return what is logged of the validation split, and of a test set of as many images."""
    torch.manual_seed(0)
    model, data = build(KD), DigitsDataModule(val_size=val_size, eval_batch_size=eval_batch_size)
    data.setup("test")
    data._splits["test"] = data.get_split("test").select(torch.arange(test_size or val_size))
    loop = trainer("runs", 1, callbacks=[ClassificationMeasures()], **options)
    (val,) = loop.validate(model, datamodule=data, verbose=False)
    (test,) = loop.test(model, datamodule=data, verbose=False)
    return {**val, **test}


def expected(val_size):
    torch.manual_seed(0)
    model, data = build(KD).eval(), DigitsDataModule(val_size=val_size)
    data.setup("fit")
    (batch,) = data.choose_probe_batches("val") if val_size <= 256 else [joined(data.choose_probe_batches("val"))]
    with torch.no_grad():
        logits = model(batch.images)
    accuracy = (logits.argmax(1) == batch.target).float().mean()
    return {"val/accuracy": float(accuracy), "val/loss": float(F.cross_entropy(logits, batch.target))}


def joined(batches):
    images, target = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("images", "target"))
    return batches[0]._replace(images=images, target=target)


@pytest.mark.parametrize("size", [1, 63, 301])
def test_loss_and_accuracy_are_means_over_the_images(size):
    found = evaluate(size)
    for name, value in expected(size).items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_a_process_without_images_takes_part(monkeypatch):
    """The second of two processes, of one image: nothing to evaluate, and nothing that fails."""
    monkeypatch.setattr("kdlight.data.base.loader._find_share", lambda trainer: (2, 1))
    assert evaluate(1)["val/accuracy"] == 0  # of no image; two processes log the mean over the images of both


@pytest.mark.slow
def test_two_processes_log_what_one_does():
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run(
        [*launch, str(ROOT / "tests/methods/evaluation_worker.py"), "301", "300", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("logged:"))
    for size, found in zip((301, 300, 1), json.loads(line.removeprefix("logged:")), strict=True):
        alone = evaluate(size)
        assert found == pytest.approx(alone, rel=1e-5), size
