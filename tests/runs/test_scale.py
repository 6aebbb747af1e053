"""Gradient accumulation and synchronised batch norms: what stays the same, and what cannot."""

import pytest
import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn

from kdlight.methods.base.distiller import Distiller
from kdlight.methods.kd import KD
from kdlight.methods.sp import SP
from kdlight.runs.folder import RunFolder
from kdlight.runs.run_files import RunFiles
from tests.methods.conftest import build
from tests.runs.conftest import run


def weights_after(path, method, batch_size, accumulated):
    ended = run(path, method, epochs=2, batch_size=batch_size, accumulate_grad_batches=accumulated)
    assert ended.trainer.global_step == 2 * 4
    return ended


def largest_difference(one, other):
    others = dict(other.method.named_parameters())
    return max((value - others[name]).abs().max().item() for name, value in one.method.named_parameters())


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path, monkeypatch):
    """Where a sample's loss is its own: batch norm is taken out, and KD compares no samples with one another."""
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, images: images)
    whole = weights_after(tmp_path / "whole", KD, 50, 1)
    halves = weights_after(tmp_path / "halves", KD, 25, 2)
    assert largest_difference(whole, halves) < 1e-5
    for epoch, row in whole.rows.items():
        assert halves.rows[epoch]["train/loss"] == pytest.approx(row["train/loss"], rel=1e-4)

    # SP compares the samples of a batch: of the halves it sees half of each, so it cannot be equal.
    whole = weights_after(tmp_path / "whole_sp", SP, 50, 1)
    assert largest_difference(whole, weights_after(tmp_path / "halves_sp", SP, 25, 2)) > 1e-3


def test_every_batch_norm_of_a_method_can_be_synchronised_but_the_teachers(method):
    """In evaluation mode, for torch trains with them on GPUs alone."""
    plain, synchronised = build(method).eval(), build(method).eval()
    synchronised = TorchSyncBatchNorm().apply(synchronised).eval()
    assert any(isinstance(module, nn.SyncBatchNorm) for module in synchronised.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in synchronised.modules())
    if isinstance(plain, Distiller):
        assert not any(isinstance(module, nn.SyncBatchNorm) for module in synchronised.teacher.model.modules())
    assert plain.state_dict().keys() == synchronised.state_dict().keys()
    images = torch.randn(6, *plain.student.image_shape, generator=torch.Generator().manual_seed(0))
    pairs = zip(*(model.student.activations(images).stages for model in (synchronised, plain)), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
    reverted = TorchSyncBatchNorm().revert(synchronised)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in reverted.modules())


def test_a_cpu_cannot_synchronise(tmp_path):
    method = TorchSyncBatchNorm().apply(build(KD))
    with pytest.raises(ValueError, match=r"only on GPUs: leave --trainer.sync_batchnorm out"):
        RunFiles(RunFolder(tmp_path), "{}").on_fit_start(None, method)
