"""The shipped SLURM script, with stand-ins for srun and scontrol: two nodes of one process each on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
SRUN = """#!/bin/bash
[ "$1" = --kill-on-bad-exit=1 ] && shift
for rank in 0 1; do
  SLURM_PROCID=$rank SLURM_NODEID=$rank SLURM_LOCALID=0 "$@" &
  echo $! > task$rank
done
wait $(<task0); code=$?
wait $(<task1) || code=$?
exit $code
"""
NODES = {"SLURM_JOB_ID": "42", "SLURM_JOB_NAME": "kdlight", "SLURM_NNODES": "2", "SLURM_NTASKS": "2"}
TASKS = {"SLURM_NTASKS_PER_NODE": "1", "SLURM_NODELIST": "127.0.0.1", "MASTER_ADDR": "127.0.0.1"}
OPTIONS = ["--data.train_per_class=20", "--data.batch_size=10", "--trainer.accelerator=cpu"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


def script(folder, epochs):
    (folder / "bin").mkdir(exist_ok=True)
    commands = {"srun": SRUN, "scontrol": "#!/bin/bash\necho $* > queued\n"}
    commands["kdlight"] = f'#!/bin/bash\nexec {sys.executable} -m kdlight "$@"\n'
    for name, text in commands.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    arguments = ["--config", str(ROOT / "configs/digits/teacher.yaml"), f"--trainer.max_epochs={epochs}"]
    return subprocess.Popen(
        ["bash", str(ROOT / "configs/trainers/slurm.sh"), *arguments, *OPTIONS, *QUIET],
        cwd=folder, env={**os.environ, **NODES, **TASKS, "PATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(tmp_path):
    run = tmp_path / "runs/slurm-42"
    job = script(tmp_path, 500)
    while not (run / "metrics.csv").is_file() or len((run / "metrics.csv").read_text().splitlines()) < 3:
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    for rank in range(2):
        os.kill(int((tmp_path / f"task{rank}").read_text()), signal.SIGTERM)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 0, errors
    assert (tmp_path / "queued").read_text() == "requeue 42\n"
    (tmp_path / "queued").unlink()
    epoch = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"]

    job = script(tmp_path, epoch + 2)
    _, errors = job.communicate(timeout=120)
    assert job.returncode == 0, errors
    assert not (tmp_path / "queued").exists()
    assert '"processes": 2' in (run / "result.json").read_text()
    assert f'"epochs": {epoch + 2}' in (run / "result.json").read_text()
    assert [folder.name for folder in run.parent.iterdir()] == ["slurm-42"]
