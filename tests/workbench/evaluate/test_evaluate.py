"""`kdlight evaluate`: calibration, corruptions, costs."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlight.__main__ import main
from kdlight.workbench.costs import count_bytes, count_operations, count_parameters, measure_latency, measure_memory
from kdlight.workbench.evaluate.calibration import fit_temperature, measure_calibration
from kdlight.workbench.evaluate.corruptions import CORRUPTIONS, corrupt


def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose softmax is the distribution that the classes were drawn from."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, 4, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()


def test_the_temperature_undoes_overconfidence():
    logits, target = drawn(20_000)
    assert fit_temperature(logits, target) == pytest.approx(1, abs=0.03)
    assert fit_temperature(3 * logits, target) == pytest.approx(3, rel=0.03)
    honest, bold = measure_calibration(logits, target), measure_calibration(3 * logits, target)
    mended = measure_calibration(3 * logits, target, temperature=3.0)
    assert honest["calibration_error"] < 0.01
    assert bold["calibration_error"] > 0.1
    assert mended == pytest.approx(honest)
    assert honest["loss"] == pytest.approx(float(F.cross_entropy(logits, target)))
    assert honest["accuracy"] == bold["accuracy"] == pytest.approx(float((logits.argmax(1) == target).float().mean()))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_are_fixed_and_change_every_image(name):
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first, again = (corrupt(pixels, name, torch.Generator().manual_seed(0)) for _ in range(2))
    assert first.dtype == torch.uint8
    assert first.shape == pixels.shape
    assert torch.equal(first, again)
    assert ((first != pixels).flatten(1).float().mean(1) > 0.04).all()
    assert torch.equal(pixels[:1], pixels[:1].clone())


def test_corruptions_do_what_they_are_called():
    grey = torch.full((1, 1, 8, 8), 100, dtype=torch.uint8)
    seeded = torch.Generator().manual_seed(0)
    assert corrupt(grey, "darker", seeded).unique().tolist() == [50]
    assert corrupt(grey, "brighter", seeded).unique().tolist() == [164]
    assert corrupt(grey, "low contrast", seeded).unique().tolist() == [100]
    assert corrupt(grey, "masked", seeded)[0, 0, 3:5, 3:5].unique().tolist() == [128]


def test_costs_of_a_layer_are_those_of_its_formula():
    layer = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(8 * 16, 5)).eval()
    assert count_parameters(layer) == 8 * 3 * 9 + 8 * 16 * 5 + 5
    assert count_operations(layer, (3, 4, 4)) == 2 * (8 * 3 * 9 * 16 + 8 * 16 * 5)
    assert count_bytes(layer) == 4 * count_parameters(layer)
    # The map and its flat view are one memory; the logits come on top of it.
    assert [measure_memory(layer, (3, 4, 4), batch) for batch in (1, 8)] == [4 * (8 * 16 + 5), 8 * 4 * (8 * 16 + 5)]
    assert 0 < measure_latency(layer, (3, 4, 4), 1, threads=1, seconds=0.01) < 10


def test_a_run_beside_its_teacher(photographs_run, capsys):
    run = photographs_run()
    assert main(["evaluate", str(run), "--threads=1", "--seconds=0.01"]) == 0
    measured = json.loads((run / "evaluation.json").read_text())
    student, teacher = measured["student"], measured["teacher"]
    assert student["test"].keys() == {
        *("accuracy", "loss", "calibration_error", "temperature", "calibration_error_scaled")
    }
    assert student["corrupted"].keys() == CORRUPTIONS.keys()
    # The fixture's teacher has the student's weights.
    assert (student["test"], student["corrupted"]) == (teacher["test"], teacher["corrupted"])
    assert measured["agreement"] == 1
    assert student["costs"]["parameters"] == teacher["costs"]["parameters"] > 300_000
    assert (measured["threads"], measured["device"]) == (1, "cpu")
    said = capsys.readouterr().out
    assert "temperature, fitted on validation" in said
    assert f"saved {run / 'evaluation.json'}" in said


def test_mistakes_are_said(photographs_run, capsys):
    run = photographs_run(teacher=False)
    assert main(["evaluate", str(run), "--threads=0"]) == 2
    assert "--threads: expected at least 1, got 0" in capsys.readouterr().err
