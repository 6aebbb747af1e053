"""FSDP as far as two processes of the CPU go: the blocks that the configuration names, a method's step, the weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch.strategies import FSDPStrategy

from kdlight.cli.compose import compose
from kdlight.models.zoo.resnet import BasicBlock

ROOT = Path(__file__).parents[2]
METHODS = ["KD", "FitNet", "RID"]


def test_the_configuration_makes_the_strategy():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--strategy", type=FSDPStrategy)
    config = compose([ROOT / "configs/trainers/fsdp.yaml"])["trainer"]
    strategy = parser.instantiate(parser.parse_object({"strategy": config["strategy"]})).strategy
    assert isinstance(strategy, FSDPStrategy)
    policy = strategy.kwargs["auto_wrap_policy"]
    assert BasicBlock in policy._module_classes


@pytest.mark.slow
def test_sharded_steps_are_those_of_one_process(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run(
        [*launch, str(ROOT / "tests/runs/fsdp_worker.py"), *METHODS],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert {line.removeprefix("equal: ") for line in done.stdout.splitlines() if "equal: " in line} == set(METHODS)
