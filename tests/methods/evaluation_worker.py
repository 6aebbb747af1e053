"""Validates and tests a student on two processes and prints what is logged; test_evaluation.py runs it by torchrun."""

import json
import sys
import warnings

import kdlight  # noqa: F401  before lightning

# isort: split
import torch

from tests.methods.test_evaluation import evaluate

warnings.filterwarnings("ignore")

if __name__ == "__main__":
    torch.set_num_threads(1)
    found = [evaluate(int(size), strategy="ddp", devices=2) for size in sys.argv[1:]]
    if torch.distributed.get_rank() == 0:
        print("logged:", json.dumps(found))
