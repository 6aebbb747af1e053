"""The monitor in short runs on a few digits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger

from kdlight.callbacks import PIDMonitor
from kdlight.callbacks.pid_warnings import PIDWarnings
from kdlight.errors import UserError
from kdlight.measuring.feature_pairs import pair_features
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
    return PIDMonitor(**{"clusters": 2, "fit_samples": 100, "repeats": 2, "stages": ["all"], **options})


def test_what_is_logged(tmp_path):
    monitor = quick(every_n_epochs=2, details=True)
    log = fit(tmp_path, build(KD), monitor, epochs=3)
    measured = log.measured()
    assert [row["epoch"] for row in measured] == [1, 2]  # every second epoch, and the last
    for stage in STAGES:
        assert measured[0][f"pid/{stage}/information_teacher"] == measured[1][f"pid/{stage}/information_teacher"]
        reports = [{key.removeprefix(f"pid/{stage}/"): value for key, value in row.items()} for row in measured]
        for report in (*reports, monitor.collect_result()["pid_test"][stage]):
            for part in ("", "_counted"):
                for source in ("teacher", "student"):
                    parts = report[f"redundant{part}"] + report[f"unique_{source}{part}"]
                    assert parts == pytest.approx(report[f"information_{source}{part}"], abs=1e-6)
            for atom in ATOMS[:3]:
                assert report[f"{atom}_lower"] <= report[atom] <= report[f"{atom}_upper"]
            assert report["cap_teacher"] <= 1 < report["label_entropy"]
            of_classes = [report[f"redundant_of_class_{place}"] for place in range(10)]
            assert sum(of_classes) == pytest.approx(report["redundant_counted"], abs=1e-3)
            assert "certified_information" not in report
    assert all(row["pid/seconds"] > 0 for row in measured)
    assert all(row["pid/redundant_at_least"] <= row["pid/information_teacher_at_least"] for row in measured)
    (tested,) = log.measured("pid_test/")
    assert tested["pid_test/stage3/redundant"] == monitor.collect_result()["pid_test"]["stage3"]["redundant"]
    assert tested["pid_test/seconds"] > 0
    assert monitor.list_settings()["samples"] == 100


def test_few_keys_by_default(tmp_path):
    log = fit(tmp_path, build(KD), PIDMonitor(fit_samples=100, repeats=2), epochs=1)
    keys = [key for key in log.measured()[0] if key.startswith("pid/")]
    assert {key.split("/")[1] for key in keys if key.count("/") == 2} == {"stage3", "logits"}
    assert len([key for key in keys if key.startswith("pid/stage3/")]) <= 26
    assert not [key for key in keys if key.endswith("_counted") or "_of_class_" in key]


@pytest.mark.parametrize(("times", "epochs", "expected"), [(10, 3, [1, 2, 3]), (2, 5, [3, 5]), (1, 4, [4])])
def test_so_many_times_a_run(times, epochs, expected):
    class Trainer:
        max_epochs, should_stop = epochs, False

    due = []
    for epoch in range(epochs):
        Trainer.current_epoch = epoch
        if PIDMonitor(times=times)._is_due(Trainer):
            due.append(epoch + 1)
    assert due == expected


def test_without_a_validation_split_other_training_images_are_measured_than_are_fitted(tmp_path):
    torch.manual_seed(0)
    log, monitor = Log(), quick(stages=["logits"], samples=80)
    run = trainer(tmp_path, 1, callbacks=[monitor], logger=log, limit_val_batches=0)
    run.fit(build(KD), datamodule=digits(val_size=0, seed=0))
    (row,) = log.measured("pid_train/")
    assert "pid_train/logits/redundant" in row
    assert not log.measured("pid/")
    assert monitor.collect_result()["pid_test"]["logits"]
    data = digits(val_size=0)
    data.setup("fit")
    probe = Probe.take(data, "train", 80, 100)
    fitted, counted = ({int(place) for batch in part for place in batch.index} for part in probe)
    assert (len(fitted), len(counted), fitted & counted) == (100, 80, set())


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
            kept_values = {name: stored[name] for name in stored.files}
        assert kept_values["2"].shape[0] == 2  # the third stage, two symbolisations
        constant = {**kept_values, "2": np.zeros_like(kept_values["2"])}
        np.savez(file, **constant)
    assert fit(tmp_path, build(KD), quick(stages=["stage3"]), epochs=1).measured()[0][
        "pid/stage3/information_teacher"
    ] == pytest.approx(0)
    monitor = quick(stages=["stage3"], cache=str(tmp_path))
    elsewhere = fit(tmp_path / "other", build(KD), monitor, epochs=1)
    assert elsewhere.measured()[0]["pid/stage3/information_teacher"] == pytest.approx(0), "another run, the same cache"
    assert not list((tmp_path / "other").glob("pid_teacher_*.npz"))
    log = fit(tmp_path, build(KD), quick(stages=["stage3"], seed=1), epochs=1)
    assert log.measured()[0]["pid/stage3/information_teacher"] > 0.1
    assert len(list(tmp_path.glob("pid_teacher_*.npz"))) == 4


class Breaks(Callback):
    """Makes the student's last stage NaN after an epoch, as a diverged run does."""

    def on_train_epoch_end(self, trainer, pl_module):
        with torch.no_grad():
            next(pl_module.student.layer3.parameters()).fill_(torch.nan)


def test_a_student_that_does_not_learn_has_a_flat_curve(tmp_path):
    method = build(KD, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    log = fit(tmp_path, method, quick(every_n_epochs=1, stages=["stage1"]), epochs=3)
    rows = log.measured()
    # Batch norms move their running statistics in an epoch of training.
    for row in rows:
        assert rows[0]["pid/stage1/redundant_lower"] <= row["pid/stage1/redundant"]
        assert row["pid/stage1/redundant"] <= rows[0]["pid/stage1/redundant_upper"]


def test_a_diverged_student_loses_its_atoms_and_not_the_run(tmp_path):
    monitor = quick()
    with pytest.warns(UserWarning, match=r"the student's (stage3|logits) is not finite after epoch 0") as caught:
        log = fit(tmp_path, build(KD), monitor, more=[Breaks()], epochs=1)
    assert len([warning for warning in caught if "PIDMonitor" in str(warning.message)]) == 2  # once each
    (measured,) = log.measured()
    stages = {key.split("/")[1] for key in measured if key.startswith("pid/")}
    assert stages == {"stage1", "stage2", "seconds", "label_entropy"}
    assert set(monitor.test.stages) == {"stage1", "stage2"}


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
        for batch in data.choose_probe_batches("test"):
            both = method.student.activations(batch.images), method.teacher.activations(batch.images)
            _, of_teacher = method.pairs[2].pool_maps(*both)
            logits = method.teacher_heads[2](method.teacher_filters[2](of_teacher))
            losses.append(torch.nn.functional.cross_entropy(logits, batch.target, reduction="none"))
            target.append(batch.target)
    further = monitor.test.stages["stage3"].further
    frequencies = torch.cat(target).bincount() / len(torch.cat(target))
    certified = -(frequencies * frequencies.log2()).sum() - torch.cat(losses).mean() / np.log(2)
    assert further["certified_information"] == pytest.approx(certified.item(), abs=1e-4)
    assert further["constraint_slack"] > 0
    assert further["assumption_probe_lower"] <= further["assumption_probe"]
    assert "constraint_slack" not in monitor.test.stages["logits"].further


def test_filtered_stages(tmp_path):
    monitor = quick(filtered=True, stages=["stage2"], every_n_epochs=9)
    log = fit(tmp_path, build(RID), monitor, epochs=3)
    assert set(monitor.collect_result()["pid_test"]) == {"filtered_stage2"}
    assert "pid/filtered_stage2/redundant" in log.measured()[0]
    assert not list(tmp_path.glob("*.npz"))  # f_t moves
    with pytest.raises(ValueError, match="'filtered: true' needs a method with filters and heads, such as RID, but KD"):
        fit(tmp_path, build(KD), quick(filtered=True))
    with pytest.raises(ValueError, match="expected stages among stage1, stage2, stage3, got logits"):
        fit(tmp_path, build(RID), quick(filtered=True, stages=["logits"]), epochs=3)


def test_a_baseline_is_compared_with_the_teacher_of_the_other_arms(tmp_path):
    students = []
    for method in (KD, Supervised):
        torch.manual_seed(1)
        students.append(
            method(resnet8(10, digits().image_shape), resnet8(10, digits().image_shape), untrained_teacher=True)
        )
    assert students[0].teacher.sha256() == students[1].teacher.sha256()
    monitor = quick(stages=["embedding"], samples=50)
    log = fit(tmp_path, students[1], monitor, epochs=1)
    assert "pid/embedding/cap_teacher" in log.measured()[0]
    with pytest.raises(ValueError, match="Supervised has none: give the method a teacher"):
        fit(tmp_path, build(Supervised), quick())


def test_predictions_of_the_student_are_its_accuracy(tmp_path):
    monitor = quick(symbols="predictions", stages=["logits"], details=True)
    fit(tmp_path, build(KD), monitor, epochs=1)
    assert 0 <= monitor.test.stages["logits"].pid.information_second.counted <= np.log2(10)
    with pytest.raises(ValueError, match=r"needs 'stages: \[logits\]' and 'filtered: false', got 'stages: None'"):
        PIDMonitor(symbols="predictions")


def test_a_cap_that_binds_is_said_once(caplog):
    found = SimpleNamespace(capped={"student": 1.0}, pid=SimpleNamespace(target_entropy=3.32))
    warnings = PIDWarnings()
    with caplog.at_level("INFO"):
        for _ in range(2):
            warnings.report_limits(SimpleNamespace(stages={"logits": found}), 300)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "the student's logits" in said
    assert "log2 of 2 symbols = 1.00 bits, less than H(label) = 3.32 bits" in said


def test_too_few_images_are_refused_before_training_and_left_out_of_the_test(tmp_path, monkeypatch):
    run = trainer(tmp_path, 1, callbacks=[quick()])
    with pytest.raises(UserError, match=r"a PID needs at least 8 images, but the val split has 7 to count: hold"):
        run.fit(build(KD), datamodule=digits(val_size=7))
    monkeypatch.setattr("kdlight.callbacks.pid_monitor.FEWEST", 10_000)
    monitor = quick(stages=["logits"])
    with pytest.warns(UserWarning, match=r"pid_test is left out, because a PID needs at least 8 images") as said:
        fit(tmp_path, build(KD), monitor, epochs=1)
    assert sum("pid_test" in str(warning.message) for warning in said) == 1
    assert monitor.collect_result() == {}


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
    places = pair_features(3, 4, ["stage1", "logits"])
    assert [tuple(place) for place in places] == [("stage1", 0, 1), ("logits", "logits", "logits")]
    assert [place.name for place in pair_features(4, 3, ["all"])] == ["stage2", "stage3", "stage4", "logits"]
    assert [place.name for place in pair_features(3, 3, None)] == ["stage3", "logits"]
    with pytest.raises(ValueError, match="expected stages among stage1, embedding, logits, got stage2"):
        pair_features(1, 1, ["stage2"])


@pytest.mark.parametrize("option", ["times", "every_n_epochs", "samples", "fit_samples", "repeats", "clusters"])
def test_numbers_that_are_too_small(option):
    with pytest.raises(ValueError, match=f"expected {option} to be greater than or equal to"):
        PIDMonitor(**{option: 0})
