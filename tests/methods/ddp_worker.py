"""Trains methods on two processes and checks on each that they stayed in step; run by test_ddp.py with torchrun."""

import sys
import warnings

import kdlight  # noqa: F401  before lightning

# isort: split
import torch
from lightning.pytorch import Callback

from kdlight.caching.teacher_cache import TeacherCache
from kdlight.callbacks.pruning.optimal_brain_damage import OptimalBrainDamage
from kdlight.methods.kd import KD
from kdlight.methods.supervised import Supervised
from tests.methods.conftest import build, digits, shipped, trainer

warnings.filterwarnings("ignore")


class SeenSamples(Callback):
    """Keeps the places of the samples that this process trained on in the first epoch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 0:
            self.seen += batch.index.tolist()


class SameBuffers(Callback):
    """Checks that both processes validate the same network: DDP keeps parameters equal, but not buffers."""

    def on_validation_start(self, trainer, pl_module):
        first, second = gathered({name: buffer.clone() for name, buffer in pl_module.named_buffers()})
        for name in first:
            assert torch.equal(first[name], second[name]), f"{name} differs between the processes in a validation"


def gathered(value):
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def check_cache(model, data):
    """Each process made its share, and all of it is what the teacher says about the views that are replayed."""
    everything = torch.arange(data.train_size)
    for view, parameters in enumerate(model._cached.parameters):
        (batch,) = data.load_views([everything], parameters)
        kept, said = model._cached.activations(view, everything).logits, model.teacher.activations(batch.images).logits
        torch.testing.assert_close(kept, said, rtol=2e-3, atol=1e-3)


def main(names):
    torch.set_num_threads(1)
    methods = {method.__name__: method for method in shipped()}
    for case in names:
        prune = [OptimalBrainDamage(first_epoch=1, sparsity=0.5)] if case == "OptimalBrainDamage" else []
        if case == "TeacherCache":
            model, data = build(KD, teacher_cache=TeacherCache("cache", views=2)), digits(augment=True)
        else:
            # Without a validation no hook but the one under test makes the buffers equal.
            without = {"val_size": 0} if case == "Supervised" else {}
            model, data = build(Supervised if prune else methods[case]), digits(**without)
        samples = SeenSamples()
        loop = trainer("runs", 3, strategy="ddp", devices=2, callbacks=[samples, SameBuffers(), *prune])
        loop.fit(model, datamodule=data)
        first, second = gathered({name: value.clone() for name, value in model.state_dict().items()})
        assert first.keys() == second.keys()
        for name in first:
            assert torch.equal(first[name], second[name]), f"{case}: {name} differs between the processes"
        for callback in prune:
            masks, others = gathered(callback.state_dict()["kept"])
            assert any((~mask).any() for mask in masks.values())
            assert all(torch.equal(mask, others[name]) for name, mask in masks.items())
            assert not any(model.student.get_parameter(name)[~mask].any() for name, mask in masks.items())
        if case == "TeacherCache":
            check_cache(model, data)
        ours, theirs = gathered(samples.seen)
        assert ours
        assert theirs
        assert not set(ours) & set(theirs), "the processes share samples"
        if loop.is_global_zero:
            print("in step:", case, flush=True)
    # Without this a process that ends while the other still talks to it is aborted now and then.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
