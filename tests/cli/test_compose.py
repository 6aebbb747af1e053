import os

import pytest

from kdlight.cli.compose import compose, merge
from kdlight.errors import UserError

PAIR = {"model": {"init_args": {"student": {"class_path": "S"}, "teacher": {"class_path": "T"}}}}
METHOD = {"model": {"class_path": "DKD", "init_args": {"beta": 8}}}


def write(folder, name, text):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_pair_and_a_method_merge_in_either_order():
    both = {
        "class_path": "DKD",
        "init_args": {"student": {"class_path": "S"}, "teacher": {"class_path": "T"}, "beta": 8},
    }
    assert merge([PAIR, METHOD]) == merge([METHOD, PAIR]) == {"model": both}


def test_arguments_of_another_class_are_left_out():
    other = {"model": {"class_path": "KD", "init_args": {"temperature": 9}}}
    assert "temperature" not in merge([PAIR, other, METHOD])["model"]["init_args"]
    assert merge([other, METHOD, other])["model"] == other["model"]


def test_later_values_win_and_lists_are_replaced():
    assert merge([{"a": [1], "b": 1}, {"a": [2]}]) == {"a": [2], "b": 1}
    assert merge([{"a": {"x": 1}}, {"a": None}, {"a": {"y": 2}}]) == {"a": {"y": 2}}


def test_lists_under_a_key_that_ends_in_plus_are_appended(tmp_path):
    (tmp_path / "base.yaml").write_text("trainer: {callbacks: [a], logger: x}")
    (tmp_path / "more.yaml").write_text("include: [base.yaml]\ntrainer: {callbacks+: [b], plugins+: [p], logger+: [y]}")
    (tmp_path / "again.yaml").write_text("trainer: {callbacks+: c}")
    (tmp_path / "other.yaml").write_text("trainer: {callbacks: [d]}")
    more = compose([tmp_path / "more.yaml", tmp_path / "again.yaml"])
    assert more == {"trainer": {"callbacks": ["a", "b", "c"], "logger": ["x", "y"], "plugins+": ["p"]}}
    assert compose([tmp_path / "more.yaml", tmp_path / "other.yaml"])["trainer"]["callbacks"] == ["d"]


def test_a_file_includes_a_shipped_one_unless_one_of_this_name_lies_beside_it(tmp_path):
    main = write(tmp_path, "mine.yaml", "include: [digits/kd.yaml]\ntrainer: {max_epochs: 3}")
    assert compose([main])["model"]["class_path"] == "kdlight.methods.KD"
    write(tmp_path, "digits/kd.yaml", "model: {class_path: Mine}")
    assert compose([main]) == {"model": {"class_path": "Mine"}, "trainer": {"max_epochs": 3}}


def test_files_point_at_files_from_their_own_folder(tmp_path):
    write(tmp_path, "data/d.yaml", "data: {class_path: D}")
    write(tmp_path, "nets/t.yaml", "class_path: T\ninit_args: {depth: 3}")
    write(tmp_path, "trainers/t.yaml", "trainer: {max_epochs: 3, devices: 1}")
    main = write(
        tmp_path,
        "x/main.yaml",
        "include: [../trainers/t.yaml]\ntrainer: {max_epochs: 1e-3}\ndata: ../data/d.yaml\n"
        "model: {init_args: {teacher: ../nets/t.yaml}}\n",
    )
    assert compose([main]) == {
        "trainer": {"max_epochs": 0.001, "devices": 1},
        "data": {"class_path": "D"},
        "model": {"init_args": {"teacher": {"class_path": "T", "init_args": {"depth": 3}}}},
    }


@pytest.fixture
def combined(tmp_path):
    """A pair and two methods, and what the pair says with the first of them."""
    texts = {
        "pairs/p.yaml": "include: [../recipe.yaml]\nmodel: {init_args: {student: S}}",
        "recipe.yaml": "trainer: {max_epochs: 1}",
        "pairs/p+dkd.yaml": "trainer: {max_epochs: 2}\nmodel: {class_path: DKD, init_args: {beta: 2}}",
        "methods/dkd.yaml": "model: {class_path: DKD, init_args: {beta: 8}}",
        "methods/kd.yaml": "model: {class_path: KD}",
    }
    return {name: write(tmp_path, name, text) for name, text in texts.items()}


def test_what_two_files_say_together_is_above_both_in_either_order(combined, tmp_path):
    files = [combined["pairs/p.yaml"], combined["methods/dkd.yaml"]]
    composed = compose(files)
    assert composed == compose(files[::-1])
    assert composed["model"]["init_args"] == {"student": "S", "beta": 2}
    assert composed["trainer"] == {"max_epochs": 2}
    whole = write(tmp_path, "x/whole.yaml", "include: [../methods/dkd.yaml, ../pairs/p.yaml]\ntrainer: {max_epochs: 3}")
    assert compose([whole]) == {**composed, "trainer": {"max_epochs": 3}}, "what comes later wins"


def test_what_two_files_say_together_is_announced(combined, caplog):
    with caplog.at_level("INFO"):
        compose([combined["pairs/p.yaml"], combined["methods/kd.yaml"]])
        assert not caplog.records
        compose([combined["pairs/p.yaml"], combined["methods/dkd.yaml"]])
    message = f"adding {combined['pairs/p+dkd.yaml']}, which has values for this combination of files"
    assert caplog.messages == [message]


def test_what_two_files_say_together_is_left_where_another_method_replaced_theirs(combined):
    files = [combined[name] for name in ("methods/dkd.yaml", "methods/kd.yaml", "pairs/p.yaml")]
    expected = {"trainer": {"max_epochs": 1}, "model": {"class_path": "KD", "init_args": {"student": "S"}}}
    assert compose(files) == compose([files[0], files[2], files[1]]) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("include: [gone.yaml]", r"main.yaml refers to .*gone.yaml, which does not exist"),
        ("data: gone.yaml", r"main.yaml refers to .*gone.yaml, which does not exist"),
        ("include: main.yaml", "expected 'include' to be a list"),
        ("include: [main.yaml]", "leads back to itself"),
        ("[1, 2]", "expected a mapping"),
        ("a: [1", "not valid YAML"),
        ("include: [3]", "expected 'include' to be a list of YAML files"),
        ("trainer: {max_epochs: 1, max_epochs: 2}", "the key 'max_epochs' stands twice"),
        ("trainer: {3: 1, max_epochs: 2}", "expected names as keys, got 3"),
        ("trainer: {null: 1}", "expected names as keys, got None"),
        ("{[1]: 2}", "unhashable"),
        ("a: &a [*a]", "nested too deeply"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("a: 2024-13-45", "month"),
        ("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)), "anchors"),
        (
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 20)),
            "too many values",
        ),
        ("include: [" + "half.yaml, " * 99 + "]", "more than 300 files"),
        ("a: " + "x" * 300_000, "300003 bytes"),
        (b"\xff\xfea\x00", "no UTF-8 text"),
        (b"\x80\x04\x95", "no UTF-8 text"),
        (b"a: \x00", "not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path, text, said):
    write(tmp_path, "half.yaml", "include: [" + "leaf.yaml, " * 99 + "]")
    write(tmp_path, "leaf.yaml", "a: 1")
    main = write(tmp_path, "main.yaml", "")
    main.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said) as caught:
        compose([main])
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_text_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for name, said in (
        ("pipe.yaml", "no regular file"),
        ("/dev/zero", "no regular file"),
        ("loop.yaml", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("a\0b.yaml", "cannot be read"),
    ):
        with pytest.raises(UserError, match=said):
            compose([tmp_path / name])


def test_keys_that_are_numbers_by_themselves_are_left_to_the_class(tmp_path):
    main = write(tmp_path, "main.yaml", "a: {0: 4, 8: 2}")
    assert compose([main]) == {"a": {0: 4, 8: 2}}


def test_a_key_that_comes_with_an_anchor_may_be_said_again(tmp_path):
    main = write(tmp_path, "main.yaml", "a: {b: &b {<<: &c {x: 1}, x: 2}}\nd: {<<: *b, x: 3}")
    assert compose([main]) == {"a": {"b": {"x": 2}}, "d": {"x": 3}}


def test_the_configuration_in_a_run_names_the_folder_that_it_lies_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "trainer: {default_root_dir: runs/first, max_epochs: 3}"
    original, copied = (write(tmp_path, f"runs/{name}/config.yaml", text) for name in ("first", "second"))
    alone = write(tmp_path, "kept/config.yaml", text)
    for file in (original, copied):
        (file.parent / "checkpoints").mkdir()
    other = write(tmp_path, "other.yaml", "trainer: {default_root_dir: chosen}")
    for files, root in (
        ([original], "runs/first"),
        ([copied], str(copied.parent)),
        (["runs/second/config.yaml"], str(copied.parent)),
        ([alone], "runs/first"),
        ([copied, other], "chosen"),
    ):
        assert compose(files)["trainer"] == {"default_root_dir": root, "max_epochs": 3}
