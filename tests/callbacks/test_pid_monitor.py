"""The monitor in short runs on a few digits."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger

from kdlight.callbacks import PIDMonitor
from kdlight.measuring.places import stage_places
from kdlight.measuring.probe import Probe
from kdlight.methods import KD, RID, Supervised
from kdlight.models.zoo.resnet import resnet8
from tests.methods.conftest import build, digits, trainer

ATOMS = ("redundant", "unique_teacher", "unique_student", "synergistic")
STAGES = ("stage1", "stage2", "stage3", "logits")


class Log(DummyLogger):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append(dict(metrics))

    def measured(self, prefix="pid/"):
        return [row for row in self.rows if any(key.startswith(prefix) for key in row)]


def fit(folder, method, monitor, *, epochs=2, more=(), **options):
    torch.manual_seed(0)
    log = Log()
    run = trainer(folder, epochs, callbacks=[*more, monitor], logger=log, **options)
    run.fit(method, datamodule=digits(val_size=100, seed=0))
    return log


def quick(**options):
    return PIDMonitor(**{"clusters": 3, "fit_samples": 100, **options})


def test_what_is_logged(tmp_path):
    monitor = quick(every_n_epochs=2)
    log = fit(tmp_path, build(KD), monitor, epochs=3)
    measured = log.measured()
    assert [row["epoch"] for row in measured] == [1, 2]  # every second epoch, and the last
    for stage in STAGES:
        assert measured[0][f"pid/{stage}/information_teacher"] == measured[1][f"pid/{stage}/information_teacher"]
        reports = [{key.removeprefix(f"pid/{stage}/"): value for key, value in row.items()} for row in measured]
        for report in (*reports, monitor.test[stage]):
            for source in ("teacher", "student"):
                parts = report["redundant"] + report[f"unique_{source}"]
                assert parts == pytest.approx(report[f"information_{source}"], abs=1e-6)
            assert min(report[atom] for atom in ATOMS) >= 0
            assert report["gap"] <= 1e-6
            for atom in ATOMS:
                assert report[f"{atom}_lower"] <= report[f"{atom}_corrected"] <= report[f"{atom}_upper"]
                assert 0 <= report[f"{atom}_fraction_of_label"] <= 1
            assert "certified_information" not in report
    assert all(row["pid/seconds"] > 0 for row in measured)
    (tested,) = log.measured("pid_test/")
    assert tested["pid_test/stage3/redundant"] == monitor.test["stage3"]["redundant"]
    assert tested["pid_test/seconds"] > 0


def test_a_run_is_the_same_with_and_without(tmp_path):
    methods = [build(KD), build(KD)]
    fit(tmp_path, methods[0], quick(stages=["stage1", "logits"]))
    fit(tmp_path, methods[1], Callback())
    for (name, with_monitor), without in zip(
        methods[0].state_dict().items(), methods[1].state_dict().values(), strict=True
    ):
        assert torch.equal(with_monitor, without), name
    assert methods[0].student.training == methods[1].student.training


def test_a_resumed_run_takes_the_kept_teacher(tmp_path):
    fit(tmp_path, build(KD), quick(stages=["stage3"]), epochs=1)
    kept = sorted(tmp_path.glob("pid_teacher_*.npz"))
    assert len(kept) == 2  # of the validation split and of the test set
    for file in kept:
        with np.load(file) as stored:
            constant = {name: np.zeros_like(stored[name]) for name in stored.files}
        assert set(constant) == {"stage3"}
        np.savez(file, **constant)
    assert fit(tmp_path, build(KD), quick(stages=["stage3"]), epochs=1).measured()[0][
        "pid/stage3/information_teacher"
    ] == pytest.approx(0)
    log = fit(tmp_path, build(KD), quick(stages=["stage3"], seed=1), epochs=1)
    assert log.measured()[0]["pid/stage3/information_teacher"] > 0.1
    assert len(list(tmp_path.glob("pid_teacher_*.npz"))) == 4


class Breaks(Callback):
    """Makes the student's last stage NaN after an epoch, as a diverged run does."""

    def on_train_epoch_end(self, trainer, pl_module):
        with torch.no_grad():
            next(pl_module.student.layer3.parameters()).fill_(torch.nan)


def test_a_diverged_student_loses_its_atoms_and_not_the_run(tmp_path):
    monitor = quick()
    with pytest.warns(UserWarning, match=r"the student's (stage3|logits) is not finite after epoch 0") as caught:
        log = fit(tmp_path, build(KD), monitor, more=[Breaks()], epochs=1)
    assert len([warning for warning in caught if "PIDMonitor" in str(warning.message)]) == 2  # once each
    (measured,) = log.measured()
    assert {key.split("/")[1] for key in measured if key.startswith("pid/")} == {"stage1", "stage2", "seconds"}
    assert set(monitor.test) == {"stage1", "stage2"}


def test_rid_says_what_it_certifies(tmp_path):
    method, monitor = build(RID), quick(every_n_epochs=9, stages=["stage3", "logits"])
    log = fit(tmp_path, method, monitor, epochs=3)
    assert "pid/stage3/certified_information" in log.measured()[0]
    # Counted anew from the method's own head, on the test set.
    data = digits(val_size=100, seed=0)
    data.setup("test")
    target, losses = [], []
    method.eval()
    with torch.no_grad():
        for batch in data.probe_batches("test"):
            both = method.student.activations(batch.images), method.teacher.activations(batch.images)
            _, of_teacher = method.pairs[2].maps(*both)
            logits = method.teacher_heads[2](method.teacher_filters[2](of_teacher))
            losses.append(torch.nn.functional.cross_entropy(logits, batch.target, reduction="none"))
            target.append(batch.target)
    frequencies = torch.cat(target).bincount() / len(torch.cat(target))
    certified = -(frequencies * frequencies.log2()).sum() - torch.cat(losses).mean() / np.log(2)
    assert monitor.test["stage3"]["certified_information"] == pytest.approx(certified.item(), abs=1e-4)
    assert monitor.test["stage3"]["constraint_slack"] > 0
    assert "constraint_slack" not in monitor.test["logits"]


def test_filtered_stages(tmp_path):
    monitor = quick(filtered=True, stages=["stage2"], every_n_epochs=9)
    log = fit(tmp_path, build(RID), monitor, epochs=3)
    assert set(monitor.test) == {"filtered_stage2"}
    assert "pid/filtered_stage2/redundant" in log.measured()[0]
    assert not list(tmp_path.glob("*.npz"))  # f_t moves
    with pytest.raises(ValueError, match="filtered needs a method with filters and heads, such as RID, and KD has"):
        fit(tmp_path, build(KD), quick(filtered=True))
    with pytest.raises(ValueError, match="expected stages among stage1, stage2, stage3, got logits"):
        fit(tmp_path, build(RID), quick(filtered=True, stages=["logits"]), epochs=3)


def test_a_baseline_brings_its_teacher(tmp_path):
    torch.manual_seed(1)
    teacher = resnet8(10, digits().image_shape)
    monitor = quick(stages=["embedding"], teacher=teacher, untrained_teacher=True, samples=50)
    log = fit(tmp_path, build(Supervised), monitor, epochs=1)
    assert log.measured()[0]["pid/embedding/information_teacher"] > 0
    with pytest.raises(ValueError, match="Supervised has none: give the callback teacher"):
        fit(tmp_path, build(Supervised), quick())


def test_predictions_of_the_student_are_its_accuracy(tmp_path):
    monitor = quick(symbols="predictions", stages=["logits"])
    fit(tmp_path, build(KD), monitor, epochs=1)
    assert 0 <= monitor.test["logits"]["information_student"] <= np.log2(10)
    with pytest.raises(ValueError, match=r"predictions are symbols of logits: expected stages \[logits\], got None"):
        PIDMonitor(symbols="predictions")


def test_few_samples_are_said_once_and_not_as_a_warning(tmp_path, caplog):
    with caplog.at_level("INFO"):
        fit(tmp_path, build(KD), quick(stages=["logits"]), epochs=2)
    said = [record.getMessage() for record in caplog.records if "fewer than 5 a cell" in record.getMessage()]
    assert len(said) == 1
    assert "100 samples for 3 x 3 x 10 = 90 cells" in said[0]


def test_clusters_are_fitted_on_other_images():
    data = digits(val_size=100)
    data.setup("fit")
    data.setup("test")
    probe = Probe.take(data, "val", None, 150)
    assert len(probe.target) == 100
    assert sum(len(batch.target) for batch in probe.fitted) == 150
    counted = {image.numpy().tobytes() for batch in probe.counted for image in batch.images}
    assert not counted & {image.numpy().tobytes() for batch in probe.fitted for image in batch.images}
    assert len(Probe.take(data, "test", 30, 10_000).target) == 30
    assert probe.sha256() == Probe.take(data, "val", None, 150).sha256() != Probe.take(data, "val", 99, 150).sha256()


def test_stages_are_paired_from_the_deepest():
    places = stage_places(3, 4, ["stage1", "logits"])
    assert [tuple(place) for place in places] == [("stage1", 0, 1), ("logits", "logits", "logits")]
    assert [place.name for place in stage_places(4, 3, None)] == ["stage2", "stage3", "stage4", "logits"]
    with pytest.raises(ValueError, match="expected stages among stage1, embedding, logits, got stage2"):
        stage_places(1, 1, ["stage2"])


@pytest.mark.parametrize("option", ["every_n_epochs", "samples", "fit_samples"])
def test_numbers_that_are_too_small(option):
    with pytest.raises(ValueError, match=f"expected {option} to be greater than or equal to"):
        PIDMonitor(**{option: 0})
