"""RID's phases, and several targets at once."""

import dataclasses

import pytest
import torch

from kdlight.callbacks import PIDMonitor
from kdlight.data.base.batch import Batch
from kdlight.data.digits import DigitsDataModule
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.rid import RID, FurtherTarget
from tests.methods.conftest import build, trainer


class DigitsWithParity(DigitsDataModule):
    """Digits whose parity is a further target."""

    def _with_parity(self, samples):
        return dataclasses.replace(samples, targets={"parity": samples.target % 2})

    def read_train(self):
        return self._with_parity(super().read_train())

    def read_test(self):
        return self._with_parity(super().read_test())


@pytest.mark.parametrize(
    ("options", "phases"),
    [
        ({"warmup_epochs": 2, "cycle_epochs": 4, "filter_ratio": 0.25}, "wwfsssfsss"),
        ({"warmup_epochs": 0, "cycle_epochs": 3, "filter_ratio": 0.5}, "ffsffsffsf"),
        # The authors' code: phase 1 of the first cycle is the warm-up; 0.25 * 5 is not rounded, so two epochs.
        ({"warmup_epochs": None, "cycle_epochs": 5, "filter_ratio": 0.25}, "wwsssffsss"),
    ],
)
def test_phases(options, phases):
    model = build(RID, **options)
    assert "".join(model.find_phase(epoch)[0] for epoch in range(len(phases))) == phases


def test_each_target_has_its_heads_and_its_weight():
    model = build(RID, warmup_epochs=1, further_targets={"parity": FurtherTarget(2, 0.5)})
    batch = Batch(
        torch.rand(4, 1, 8, 8), torch.tensor([0, 3, 5, 8]), torch.arange(4), {"parity": torch.tensor([0, 1, 1, 0])}
    )
    student, teacher = model.student.activations(batch.images), model.teacher.activations(batch.images)
    terms = model.loss_terms(student, teacher, batch)
    assert {name for name in terms if name.startswith("parity")} == {f"parity_head_stage{stage}" for stage in (1, 2, 3)}
    filtered = model.teacher_filters[2](teacher.stages[2])
    expected = 0.5 * cross_entropy(model.further_heads["parity"][2](filtered), batch.targets["parity"])
    torch.testing.assert_close(terms["parity_head_stage3"], expected)


def test_a_run_measures_each_target(tmp_path):
    model = build(RID, warmup_epochs=1, cycle_epochs=2, filter_ratio=0.5, further_targets={"parity": FurtherTarget(2)})
    label, parity = (
        PIDMonitor(clusters=3, fit_samples=100, stages=["stage3"], target=target) for target in (None, "parity")
    )
    data = DigitsWithParity(train_per_class=20, batch_size=50, val_size=100)
    before = [parameter.clone() for parameter in model.further_heads.parameters()]
    trainer(tmp_path, 3, callbacks=[label, parity]).fit(model, datamodule=data)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.further_heads.parameters(), strict=True))
    of_label, of_parity = label.test.stages["stage3"].pid, parity.test.stages["stage3"].pid
    assert of_label.information_first.counted > of_parity.information_first.counted
    assert of_parity.information_first.counted <= 1  # a bit has no more
    assert set(parity.collect_result()["pid_test"]) == {"parity_stage3"}
    with pytest.raises(ValueError, match="got 'colour'"):
        trainer(tmp_path, 3, callbacks=[PIDMonitor(target="colour")]).fit(
            build(RID, warmup_epochs=1, cycle_epochs=2, filter_ratio=0.5), datamodule=data
        )
