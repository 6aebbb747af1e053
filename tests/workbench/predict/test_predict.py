"""`kdlight predict RUN IMAGES`: files and folders without labels, odd files, the test set."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdlight.__main__ import main
from kdlight.workbench.finished_runs import Run
from tests.data.image_sets import write_image


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Images of every kind that a folder of photographs has, and files that are none."""
    folder = tmp_path / "odd"
    write_image(folder / "a/rgb.jpg", 1, size=(60, 80))
    write_image(folder / "a/grey.png", 1, mode="L")
    write_image(folder / "cmyk.jpg", 1, mode="CMYK")
    write_image(folder / "alpha.png", 1, mode="RGBA")
    upright = Image.open(folder / "a/rgb.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=100)
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_folder_without_labels(photographs_run, odd, capsys):
    run = photographs_run()
    assert main(["predict", str(run), str(odd), str(odd / "a/rgb.jpg"), "--all"]) == 0
    written = rows(run / "predictions.csv")
    names = ["a/grey.png", "a/rgb.jpg", "alpha.png", "cmyk.jpg", "turned.jpg", "a/rgb.jpg"]
    assert [row["file"] for row in written] == [str(odd / name) for name in names]
    assert list(written[0]) == ["file", "class", "probability", "class0", "class1", "class2"]
    for row in written:
        every = {name: float(row[name]) for name in ("class0", "class1", "class2")}
        assert sum(every.values()) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == max(every.values()) == every[row["class"]]
    assert written[1] == written[5]
    assert float(written[4]["probability"]) == pytest.approx(float(written[1]["probability"]), abs=0.02)
    assert f"saved {run / 'predictions.csv'}: 6 images" in capsys.readouterr().out


def test_the_test_set_gets_the_students_own_probabilities(photographs_run, tmp_path):
    run = photographs_run()
    assert main(["predict", str(run), "--output", str(tmp_path / "out/test.jsonl"), "--all"]) == 0
    written = [json.loads(line) for line in (tmp_path / "out/test.jsonl").read_text().splitlines()]
    assert [row["target"] for row in written] == [f"class{place // 4}" for place in range(12)]
    data = Run(run).data({})
    data.setup("test")
    (batch,) = data.choose_probe_batches("test")
    with torch.no_grad():
        expected = Run(run).student()(batch.images).softmax(1)
    given = torch.tensor([list(row["probabilities"].values()) for row in written])
    torch.testing.assert_close(given, expected, atol=2e-6, rtol=0)
    # The data are gone, their class names are not.
    files = [row["file"] for row in written[:2]]
    shutil.copytree(tmp_path / "images/test", tmp_path / "moved")
    moved = [str(tmp_path / "moved" / Path(file).relative_to(tmp_path / "images/test")) for file in files]
    shutil.rmtree(tmp_path / "images")
    assert main(["predict", str(run), *moved, "--output", str(tmp_path / "again.csv")]) == 0
    for row, expected_row in zip(rows(tmp_path / "again.csv"), written, strict=False):
        assert (row["class"], float(row["probability"])) == (expected_row["class"], expected_row["probability"])


def test_broken_files_are_named_counted_and_refused_or_skipped(photographs_run, odd, capsys):
    run = photographs_run()
    (odd / "cut.jpg").write_bytes((odd / "a/rgb.jpg").read_bytes()[:300])
    (odd / "text.png").write_text("no image")
    assert main(["predict", str(run), str(odd)]) == 2
    said = capsys.readouterr().err
    assert f"2 of 7 files cannot be decoded: {odd / 'cut.jpg'}, {odd / 'text.png'}; nothing was saved" in said
    assert not list(run.glob("predictions*"))
    assert main(["predict", str(run), str(odd), "--broken", "skip"]) == 0
    assert "2 of 7 files cannot be decoded" in capsys.readouterr().err
    assert len(rows(run / "predictions.csv")) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "nowhere does not exist; expected an image, or a folder"),
        (["--output", "x.parquet"], "expected a file that ends with .csv or .jsonl"),
        (["--outptu", "x.csv"], "no option --outptu; see kdlight predict --help"),
        (["{run}/checkpoints"], "has no images"),
    ],
)
def test_mistakes_are_said(options, message, photographs_run, capsys):
    run = photographs_run()
    assert main(["predict", str(run), *(option.format(run=run) for option in options)]) == 2
    assert message in capsys.readouterr().err


def test_on_the_terminal(photographs_run, tmp_path, capsys):
    run = photographs_run()
    pixels = np.zeros((50, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "black.png")
    assert main(["predict", str(run), str(tmp_path / "black.png"), "--output", "-"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "file,class,probability"
    assert row.startswith(f"{tmp_path / 'black.png'},class")
