"""Every method, pruning and a cached teacher on two CPU processes: disjoint samples, bit-equal weights and buffers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.methods.conftest import shipped

ROOT = Path(__file__).parents[2]
FEW = ["KD", "RID", "TED", "VID", "Supervised"]
OTHERS = [*sorted({method.__name__ for method in shipped()} - set(FEW)), "OptimalBrainDamage"]
FEW.append("TeacherCache")


@pytest.mark.parametrize("names", [FEW, pytest.param(OTHERS, marks=pytest.mark.slow)], ids=["few", "others"])
def test_processes_stay_in_step(names, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run(
        [*launch, str(ROOT / "tests/methods/ddp_worker.py"), *names],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert {line.removeprefix("in step: ") for line in done.stdout.splitlines() if "in step" in line} == set(names)
