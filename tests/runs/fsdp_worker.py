"""Trains methods with torch's FSDP on two processes and beside it on one; run by test_fsdp.py with torchrun."""

import sys
import warnings

import torch
import torch.distributed
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, StateDictType
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

from kdlight.cli.compose import compose
from kdlight.cli.imports import import_object
from kdlight.data.base.batch import Batch
from tests.methods.conftest import ROOT, build, digits, shipped

warnings.filterwarnings("ignore")
STEPS = 3


class Root(nn.Module):
    """Stands for Lightning's wrapping of the method: its forward pass is the training step."""

    def __init__(self, method):
        super().__init__()
        # Batch norm in evaluation mode: over half a batch its statistics would differ, with FSDP or without.
        self.method = method.to(memory_format=torch.channels_last).eval()

    def forward(self, batch):
        return torch.stack(tuple(self.method.batch_terms(batch).values())).sum()


def trained(root, batch):
    optimizer, losses = torch.optim.SGD(root.parameters(), lr=0.05, momentum=0.9), []
    for _ in range(STEPS):
        loss = root(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses)


def main(names):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    strategy = compose([ROOT / "configs/trainers/fsdp.yaml"])["trainer"]["strategy"]["init_args"]
    policy = ModuleWrapPolicy({import_object(path) for path in strategy["auto_wrap_policy"]})
    rank, data = torch.distributed.get_rank(), digits()
    data.setup("fit")
    (whole,) = data.choose_probe_batches("train", 100)
    share = Batch(*(values[rank::2] for values in whole[:3]))
    methods = {method.__name__: method for method in shipped()}
    for name in names:
        alone, root = Root(build(methods[name])), Root(build(methods[name]))
        sharded = FullyShardedDataParallel(
            root, auto_wrap_policy=policy, use_orig_params=True, device_id=torch.device("cpu")
        )
        blocks = sum(isinstance(module, FullyShardedDataParallel) for module in sharded.modules())
        assert blocks > 1, "nothing inside the student was wrapped"
        expected, losses = trained(alone, whole), trained(sharded, share)
        torch.distributed.all_reduce(losses)
        torch.testing.assert_close(losses / 2, expected, rtol=1e-4, atol=1e-5)
        with FullyShardedDataParallel.state_dict_type(sharded, StateDictType.FULL_STATE_DICT):
            gathered = sharded.state_dict()
        assert gathered.keys() == alone.state_dict().keys()
        for key, value in alone.state_dict().items():
            torch.testing.assert_close(gathered[key], value, rtol=1e-4, atol=1e-5)
        if rank == 0:
            print("equal:", name, flush=True)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
