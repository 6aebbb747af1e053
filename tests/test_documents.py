"""Every command and every Python block of the documents runs, in a small mode.

- Digits are there; their runs have as few epochs as the method allows, of two steps each. Grids have one seed.
- For data sets that are not there, and for weights of others, the configuration is composed and printed instead.
- `DIR`, `FILE`, `RUN` and the like are stand-ins, made below; `make` prints what it would do (``make -n``).
"""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from kdlight.__main__ import COMMANDS, main
from kdlight.workbench.ablate.grid import read_grid
from tests.data.image_sets import write_folder, write_image

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCUMENTS += sorted(path for top in ("kdlight", "configs") for path in (ROOT / top).rglob("*.md"))
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.yaml") if path.parent.name != "sweeps")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}((?:\w+=\S+ )*(?:kdlight|python) .+)$", re.MULTILINE)
INLINE = re.compile(r"`(kdlight [^`]+)`")
STARTS = ("kdlight ", "make ", "python ", "OMP_NUM_THREADS=1 python ")
ELSEWHERE = ("pairs/", "cifar10", "imagenet", "cub/", "my_pair")  # configurations of data or weights that are not here
RUN, TEACHER = "runs/digits/rid", "runs/digits/teacher"
STAND_INS = {
    "RUN": RUN,
    "RUNS": "runs/digits",
    "FILE": "rid.yaml",
    "runs/photographs/kd": RUN,
    "runs/cifar10_weights": "runs/digits",
    "DIR": "photographs",
    "IMAGES": "new",
    "NEW_IMAGES": "new",
    "PAIR.yaml": "configs/pairs/resnet56-resnet20.yaml",
    "METHOD": "dkd",
    "MODULE": "digits",
    "x.yaml": "kd.yaml",  # the method that the reader is about to write
}
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
SMALL = {
    "cache": QUIET,
    "bench": ["--steps=1", "--warmup=1", "--repeat=1"],
    "evaluate": ["--seconds=0.01"],
    "pid": ["--samples=200", "--fit_samples=200"],
    "study": ["--repetitions=8", "--samples", "300"],
    "solver_benchmark": ["--largest_rival=1"],
}
EPOCHS = 7  # of methods that train other modules first
BARE = ("methods", "models", "data", "configs")  # commands that do something without options


class Command(NamedTuple):
    """A command and the document that has it."""

    document: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text}"


def commands() -> Iterator[Command]:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        lines = [line for _, block in BLOCK.findall(text) for line in block.splitlines() if line.startswith(STARTS)]
        for line in [*lines, *INDENTED.findall(text), *INLINE.findall(text)]:
            yield Command(str(document.relative_to(ROOT)), line)
    for config in CONFIGS:
        for line in re.sub(r"\\\n# *", " ", config.read_text(encoding="utf-8")).splitlines():
            if found := re.match(r"# +(kdlight .+)", line):
                yield Command(str(config.relative_to(ROOT)), found[1])


def words_of(text: str) -> list[str]:
    """The words of a command, without comments, pipes and what a sentence adds."""
    words = []
    for word in shlex.split(text, comments=True):
        if word in (">", "|", ";", "writes"):
            break
        words.append(word.removesuffix(";"))
        if word.endswith(";"):
            break
    return words


def is_command(words: list[str]) -> bool:
    """Whether a text in backticks is a command, not a mention of one (`kdlight bench`) or of several (`a|b`)."""
    return words[0] != "kdlight" or (words[1] in COMMANDS and (len(words) > 2 or words[1] in BARE))


def stand_in(text: str) -> list[str]:
    """The words of a command, with stand-ins for what the reader would put there."""
    return [STAND_INS.get(word, word) for word in words_of(text)]


ALL = {" ".join(stand_in(command.text)): command for command in commands() if "…" not in command.text}
ALL = {words: command for words, command in ALL.items() if is_command(words.split())}
PYTHON = [
    pytest.param(block, id=f"{document.relative_to(ROOT)}-{number}")
    for document in DOCUMENTS
    for number, (language, block) in enumerate(BLOCK.findall(document.read_text(encoding="utf-8")))
    if language == "python"
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with what the documents speak of: runs of digits, a grid, photographs."""
    place = tmp_path_factory.mktemp("documents")
    write_folder(place / "images", train=12, test=0)
    (place / "images/train").rename(place / "photographs")
    for number in range(3):
        write_image(place / f"new/{number}.jpg", number)
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    (grid,) = (block for language, block in blocks if language == "yaml" and "axes:" in block)
    small = {"seeds": 1, "options": {"trainer.max_epochs": EPOCHS, "trainer.limit_train_batches": 2}}
    (place / "GRID.yaml").write_text(yaml.safe_dump({**yaml.safe_load(grid), **small}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("digits/teacher.yaml", "digits/rid.yaml", "digits/baseline.yaml"):
            assert main(short_fit(["fit", "--config", name])) == 0
    shutil.copytree(place / TEACHER, place / f"{TEACHER}-2")  # of the ensemble
    return place


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no best.ckpt is kept")  # pruning takes more epochs than the small mode has
@pytest.mark.parametrize("command", ALL.values(), ids=str)
def test_a_command_of_a_document_runs(command, workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    words = stand_in(command.text)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif words[0] == "kdlight":
        assert main(small(words[1:])) == 0, capsys.readouterr().err
    else:
        words = words[words.index("python") + 1 :]
        more = SMALL.get(words[1].rpartition(".")[2], ["--help"])  # network_study measures CIFAR-10
        done = subprocess.run([sys.executable, *words, *more], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr


def small(words: list[str]) -> list[str]:
    """A command of kdlight in its small mode; composed alone, where its data or weights are not here."""
    name, *options = words
    if "--help" in options or "--print_config" in options:
        return words
    if name == "pid" and options.count(RUN) == 2:
        words[words.index(RUN)] = TEACHER
    if any(part in option for option in options for part in ELSEWHERE) and name in ("fit", "test"):
        return [*words, "--print_config"]
    if name == "fit" and any("photographs/" in option for option in options):
        return [*words, "--print_config"]  # test_own_images_walk.py runs it
    if name == "ablate" and "GRID.yaml" not in options:
        return [*words, "--dry", f"--seed={read_grid(options[0]).cells[0].seed}"]
    if name == "export":
        return [*words, "--images=32", f"--output=exported-{len(list(Path().glob('exported-*')))}"]
    if "--copy" in options:
        return [name, "--copy", "copied"]  # DIR is a folder of photographs elsewhere, and --copy takes an empty one
    return short_fit(words) if name == "fit" else [*words, *SMALL.get(name, [])]


def short_fit(words: list[str]) -> list[str]:
    epochs = EPOCHS if re.search(r"\b(rid|ted)\w*\.yaml", " ".join(words)) else 1
    return [*words, f"--trainer.max_epochs={epochs}", "--trainer.limit_train_batches=2", *QUIET]


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON)
def test_the_python_of_a_document_runs(block, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    generator = np.random.default_rng(0)
    target = generator.integers(0, 10, 600)
    of_class = generator.normal(size=(10, 8))

    def features() -> np.ndarray:
        return of_class[target] + generator.normal(size=(600, 8))

    arrays = {f"{who}_{part}": features() for who in ("teacher", "student") for part in ("train", "test")}
    block = block.replace("max_epochs=10", "max_epochs=1").replace(
        '{"data.batch_size": 32}', '{"trainer.max_epochs": 1}'
    )
    exec(compile(ast.parse(block), "document", "exec"), {"target": target, **arrays})
