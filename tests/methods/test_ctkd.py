import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.methods.ctkd import CTKD
from kdlight.models.activations import Activations
from kdlight.runs.folder import RunFolder
from kdlight.runs.metrics_csv import MetricsCSV
from tests.methods.conftest import build, digits, trainer


@pytest.mark.parametrize("epoch", [1, 5, 10])
def test_oracle(epoch, oracle, inputs, monkeypatch):
    monkeypatch.setattr(CTKD, "current_epoch", epoch - 1)  # the authors count from 1
    model = build(CTKD, kd_weight=1.0, curriculum_epochs=10).double()
    batch = Batch(torch.empty(8, 0), inputs.target, torch.arange(8))
    student, teacher = (Activations(x, x, ()) for x in (inputs.student_logits, inputs.teacher_logits))
    terms = model.loss_terms(student, teacher, batch)
    oracle.check(f"ctkd_global_epoch{epoch}", terms["kd"], inputs.student_logits, model.temperature.parameter)


@pytest.mark.parametrize("length", [1, 4, 20])
def test_the_reversal_is_whole_from_the_curriculums_last_epoch_on(length, inputs, monkeypatch):
    gradients = []
    for epochs, epoch in ((length, length - 1), (length, length), (10, 9), (length + 1, length - 1)):
        monkeypatch.setattr(CTKD, "current_epoch", epoch)
        model = build(CTKD, curriculum_epochs=epochs).double()
        batch = Batch(torch.empty(8, 0), inputs.target, torch.arange(8))
        student, teacher = (Activations(x, x, ()) for x in (inputs.student_logits, inputs.teacher_logits))
        terms = model.loss_terms(student, teacher, batch)
        gradients.append(torch.autograd.grad(terms["kd"], model.temperature.parameter)[0].item())
    last, after, whole, earlier = gradients
    assert last == after == pytest.approx(whole)
    assert abs(earlier) < abs(whole)


def test_the_temperature_is_logged_and_learned(tmp_path):
    model = build(CTKD)
    trainer(tmp_path, 2, logger=MetricsCSV(RunFolder(tmp_path))).fit(model, datamodule=digits())
    logged = [row["temperature"] for row in RunFolder(tmp_path).read_metrics().values()]
    assert logged[-1] == pytest.approx(model.temperature(1.0).item())
    assert logged[0] != logged[1]
    assert logged == pytest.approx([15.62, 15.62], abs=0.5)
