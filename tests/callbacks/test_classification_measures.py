"""Classes, calibration, agreement and size of student and teacher, against a count by hand."""

import json

import lightning.pytorch
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlight.callbacks.classification_measures import ClassificationMeasures, measure_size
from kdlight.data.digits import DigitsDataModule
from kdlight.methods.fitnet import FitNet
from kdlight.methods.kd import KD
from kdlight.methods.supervised import Supervised
from kdlight.models.zoo.resnet import resnet8
from kdlight.runs.fit import add_run_options, fit_and_test
from kdlight.runs.folder import RunFolder
from kdlight.runs.result import format_json
from tests.methods.conftest import build, digits, trainer

SHAPE = DigitsDataModule.image_shape


def measure(method, **options):
    """What is logged of an untrained student, and what the callback has to say beside it."""
    measures = ClassificationMeasures()
    data = DigitsDataModule(**options)
    (logged,) = trainer("runs", 1, callbacks=[measures]).test(method, data, verbose=False)
    return logged, measures.collect_result()


def expected_calibration_error(probabilities, target, bins=15):
    confidence, named = probabilities.max(1)
    error = 0.0
    for number in range(bins):
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            gap = (named[inside] == target[inside]).float().mean() - confidence[inside].mean()
            error += float(inside.float().mean() * gap.abs())
    return error


@torch.no_grad()
def test_the_numbers_are_those_of_a_count_by_hand():
    method = build(KD).eval()
    logged, result = measure(method, eval_batch_size=64)
    data = DigitsDataModule()
    data.setup("test")
    batches = [
        data.normalize_batch(batch)
        for batch in data.get_split("test").fetch_batches([torch.arange(len(data.get_split("test")))])
    ]
    images, target = batches[0].images, batches[0].target
    student, teacher = method(images), method.teacher.activations(images).logits
    assert logged["test/agreement"] == pytest.approx((student.argmax(1) == teacher.argmax(1)).float().mean())
    divergence = F.kl_div(student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="batchmean")
    assert logged["test/kl_divergence"] == pytest.approx(float(divergence), rel=1e-4)
    for logits, numbers, name in (
        (student, {key.removeprefix("test/"): value for key, value in logged.items()}, "student"),
        (teacher, result["teacher_test"], "teacher"),
    ):
        right = logits.argmax(1) == target
        assert numbers["accuracy"] == pytest.approx(float(right.float().mean()))
        five = (logits.topk(5).indices == target[:, None]).any(1).float().mean()
        assert numbers["top5_accuracy"] == pytest.approx(float(five))
        error = expected_calibration_error(logits.softmax(1), target)
        assert numbers["calibration_error"] == pytest.approx(error, abs=1e-4)
        confusion = torch.tensor(result["confusion"][name])
        by_hand = torch.zeros(10, 10, dtype=torch.long)
        by_hand.index_put_((target, logits.argmax(1)), torch.tensor(1), accumulate=True)
        assert torch.equal(confusion, by_hand)
        assert result["class_accuracy"][name] == pytest.approx((by_hand.diagonal() / by_hand.sum(1)).tolist())
    assert result["class_names"] == list("0123456789")


def test_of_few_classes_there_is_no_top_five_and_other_classes_are_not_compared():
    method = FitNet(resnet8(10, SHAPE), resnet8(5, SHAPE), untrained_teacher=True)
    logged, result = measure(method)
    assert "test/agreement" not in logged
    assert "teacher_test" not in result
    assert set(result["confusion"]) == {"student"}
    assert set(result["networks"]) == {"student", "teacher"}


class TwoDigits(DigitsDataModule):
    """Zeros and others."""

    class_names = ("zero", "other")

    def read_test(self):
        samples = super().read_test()
        return samples.with_target(samples.target.clamp(max=1))


def test_two_classes():
    measures = ClassificationMeasures()
    method = Supervised(resnet8(2, SHAPE))
    (logged,) = trainer("runs", 1, callbacks=[measures]).test(method, TwoDigits(), verbose=False)
    assert set(logged) == {f"test/{name}" for name in ("accuracy", "loss", "calibration_error")}
    assert measures.collect_result()["class_names"] == ["zero", "other"]
    assert set(measures.collect_result()["networks"]) == {"student"}


def test_a_process_without_images_takes_part(monkeypatch):
    """The second of two processes, of one image: nothing to measure, and nothing that fails."""
    monkeypatch.setattr("kdlight.data.base.loader._find_share", lambda trainer: (2, 1))
    method, data, measures = build(KD), DigitsDataModule(), ClassificationMeasures()
    data.setup("test")
    data._splits["test"] = data.get_split("test").select(torch.arange(1))
    loop = trainer("runs", 1, callbacks=[measures])
    loop.test(method, data, verbose=False)
    assert sum(map(sum, measures.collect_result()["confusion"]["student"])) == 0


def test_the_operations_of_a_convolution_and_a_linear_layer_are_two_for_each_product():
    network = resnet8(10, SHAPE)
    seen = []

    def count(module, arguments, output):
        fan_in = module.weight[0].numel()
        seen.append(2 * fan_in * output.numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network.eval()(torch.zeros(1, *SHAPE))
    products, seen[:] = sum(seen), []
    size = measure_size(network)
    assert size["flops"] == products
    assert size["parameters"] == sum(parameter.numel() for parameter in network.parameters())


def test_a_run_keeps_the_lists_in_its_result_and_logs_the_numbers_alone(tmp_path):
    lightning.pytorch.seed_everything(0, verbose=False)
    folder, module = RunFolder(tmp_path), digits(augment=True, val_size=100)
    loop = trainer(tmp_path, 1, **add_run_options({"enable_progress_bar": False}, folder, module, config="model: {}"))
    fit_and_test(loop, build(KD), module, folder)
    result = folder.read_result()
    for name in ("last", "best"):
        confusion = torch.tensor(result["confusion"][name])
        accuracy = confusion.diagonal().sum() / confusion.sum()
        assert result["test"][name]["accuracy"] == pytest.approx(float(accuracy))
        assert 0 <= result["test"][name]["agreement"] <= 1
    assert set(result["class_accuracy"]) == {"last", "best", "teacher"}
    assert not any("confusion" in name or "agreement" in name for row in folder.read_metrics().values() for name in row)


def test_rows_of_numbers_stand_on_one_line():
    content = {"matrix": [[1, 2], [3, None]], "text": "a [\n 1,  2]", "names": ["a", "b"], "empty": []}
    written = format_json(content)
    assert json.loads(written) == content
    assert "[ 1, 2 ]" in written
