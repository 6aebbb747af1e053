"""A grid file: which runs it asks for, and what is said about a mistake in it."""

import pytest
import yaml

from kdlight.errors import UserError
from kdlight.workbench.ablate.grid import read_grid

AXES = {
    "method": {"kd": "digits/kd.yaml", "none": ["digits/baseline.yaml"]},
    "labels": {"6": {"data.train_per_class": 6}, "all": {}},
    "model.optimizer.lr": [0.1, 1e-3],
}


def test_every_combination_has_a_folder_of_its_axes():
    options = {"trainer.max_epochs": 3, "data.train_per_class": 9}
    grid = read_grid({"name": "mine", "options": options, "axes": AXES, "seeds": 2})
    names = [cell.name for cell in grid.cells]
    assert len(names) == len(set(names)) == 2 * 2 * 2 * 2
    assert names[:2] == [f"method=kd,labels=6,model.optimizer.lr=0.1/seed={seed}" for seed in (0, 1)]
    assert str(grid.cells[1].folder.path) == f"runs/mine/{names[1]}"
    assert grid.cells[1].list_arguments() == [
        "--config=digits/kd.yaml",
        "--trainer.max_epochs=3",
        "--data.train_per_class=6",
        "--model.optimizer.lr=0.1",
        "--seed_everything=1",
        f"--trainer.default_root_dir=runs/mine/{names[1]}",
    ]


def test_what_is_left_out_is_left_out():
    left_out = [{"method": "none", "labels": 6}, {"model.optimizer.lr": 0.001}]
    names = {cell.group for cell in read_grid({"axes": AXES, "leave_out": left_out}).cells}
    assert names == {
        "method=kd,labels=6,model.optimizer.lr=0.1",
        "method=kd,labels=all,model.optimizer.lr=0.1",
        "method=none,labels=all,model.optimizer.lr=0.1",
    }


def test_a_seed_can_be_left_out_for_some_runs_only():
    grid = read_grid({"axes": {"method": AXES["method"]}, "seeds": [0, 1], "leave_out": [{"method": "kd", "seed": 1}]})
    assert [cell.name for cell in grid.cells] == ["method=kd/seed=0", "method=none/seed=0", "method=none/seed=1"]


def test_a_value_may_name_the_seed_and_the_labels_of_its_run():
    axes = {"teacher": {"own": {"model.teacher_weights": "runs/{teacher}/seed={seed}/last.ckpt", "model.lambda2": 1.0}}}
    grid = read_grid({"base": ["digits/rid.yaml"], "axes": axes, "seeds": [3, 5]})
    assert [cell.options["model.teacher_weights"] for cell in grid.cells] == [
        "runs/own/seed=3/last.ckpt",
        "runs/own/seed=5/last.ckpt",
    ]


def test_published_values_belong_to_the_groups_of_their_labels():
    axes = {"pair": {"small": "digits/pair.yaml", "large": "digits/pair.yaml"}, "method": AXES["method"]}
    grid = read_grid({"axes": axes, "published": {"small": {"kd": 70.66}, "large": {"kd": 71, "none": 69}}})
    assert grid.published == {"pair=small,method=kd": 70.66, "pair=large,method=kd": 71, "pair=large,method=none": 69}


def test_files_beside_the_grid_come_first_and_its_name_is_the_folder(tmp_path):
    (tmp_path / "mine.yaml").write_text("trainer: {max_epochs: 1}")
    (tmp_path / "series.yaml").write_text(
        yaml.safe_dump({"base": "digits/kd.yaml", "axes": {"epochs": {"one": "mine.yaml"}}, "seeds": [7]})
    )
    (cell,) = read_grid(tmp_path / "series.yaml").cells
    assert cell.files == ("digits/kd.yaml", str(tmp_path / "mine.yaml"))
    assert str(cell.folder.path) == "runs/series/epochs=one/seed=7"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": {}}, "there is no key 'axis' in a grid; did you mean 'axes'"),
        ({"options": [1]}, "expected 'options' to be a mapping"),
        ({"axes": []}, "expected 'axes' to be a mapping"),
        ({"axes": {"method": "kd.yaml"}}, "axes.method: expected a mapping of labels, or a list"),
        ({"axes": {"method": {}}}, "axes.method has no value"),
        ({"axes": {"method": {"a/b": "digits/kd.yaml"}}}, "'a/b' becomes part of a folder's name"),
        ({"axes": {"method": {"kd": 3}}}, "expected YAML files or, for a label, a mapping of options, got 3"),
        ({"axes": {"model.temperature": [1, 1]}}, "the same value twice"),
        ({"axes": {"model.temperature": [1]}, "base": []}, "names no configuration file"),
        ({"seeds": 0}, "expected 'seeds' to be"),
        ({"seeds": [1, 1]}, "expected 'seeds' to be"),
        ({"seeds": [-1]}, "expected 'seeds' to be"),
        ({"seeds": True}, "expected 'seeds' to be"),
        ({"threads": 0}, "expected 'threads' to be a whole number above 0"),
        ({"leave_out": [{"labels": "7"}]}, "leave_out: expected labels to be one of 6, all, got {labels: 7}"),
        (
            {"leave_out": [{"lables": "6"}]},
            "leave_out: expected one of method, labels, model.optimizer.lr, seed, got {lables: 6}",
        ),
        ({"leave_out": [{"seed": 1}]}, "leave_out: expected seed to be one of 0, got {seed: 1}"),
        ({"leave_out": [{"method": "kd"}, {"method": "none"}]}, "leaves no run"),
        ({"name": "../elsewhere"}, "becomes part of a folder's name"),
        ({"published": [70]}, "published: expected a mapping from the labels of method"),
        ({"published": {"rid": {}}}, "published: expected labels of method (kd, none), got 'rid'"),
        ({"published": {"kd": 70}}, "published.kd: expected a mapping from the labels of labels, got 70"),
        (
            {"axes": {"method": AXES["method"]}, "published": {"kd": 701}},
            "published.kd: expected an accuracy from 0 to 100 in %, got 701",
        ),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(UserError) as caught:
        read_grid({"axes": AXES, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["digits_quick.yaml", "grids/digits_quick.yaml", "configs/grids/digits_quick.yaml"])
def test_a_shipped_grid_is_found_by_its_name_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_grid(name).name == "digits_quick"
