"""`kdlight cache` from the outside: made once, used by a run, refused where it does not belong."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = [f"--config={ROOT}/configs/{part}.yaml" for part in ("data/digits", "digits/pair", "methods/kd")]
OPTIONS = [
    *("--model.untrained_teacher=true", "--model.teacher_weights=null", "--model.teacher_cache.path=caches/digits"),
    *("--data.train_per_class=20", "--data.augment=true", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"),
    *("--trainer.enable_progress_bar=false", "--trainer.default_root_dir=runs/kd"),
]


def kdlight(folder, command, *options):
    return subprocess.run(
        [sys.executable, "-m", "kdlight", command, *CONFIG, *OPTIONS, *options],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_a_cache_is_made_ahead_used_and_refused(tmp_path):
    made = kdlight(tmp_path, "cache")
    assert made.returncode == 0, made.stderr
    assert "teacher cache caches/digits" in made.stdout
    assert "arning" not in made.stderr
    assert not (tmp_path / "runs").exists(), "no run was begun"
    written = (tmp_path / "caches/digits/cache.json").stat().st_mtime_ns

    used = kdlight(tmp_path, "fit")
    assert used.returncode == 0, used.stderr
    assert (tmp_path / "caches/digits/cache.json").stat().st_mtime_ns == written
    assert json.loads((tmp_path / "runs/kd/result.json").read_text())["method"] == "KD"

    refused = kdlight(tmp_path, "fit", "--data.val_size=200")
    assert refused.returncode == 2
    assert "was made for other training images" in refused.stderr
    assert "Traceback" not in refused.stderr
