"""The arms of the demo, measured with default symbols: nothing is capped, and another clustering keeps their order."""

import itertools
import json

import pytest

from kdlight.__main__ import main

ARMS = {
    "none": ["--config=digits/baseline.yaml"],
    "rid": ["--config=digits/rid.yaml"],
    "kd": ["--config=digits/kd.yaml"],
    # far from the others, so that at least its place among them is resolved
    "short": ["--config=digits/baseline.yaml", "--trainer.max_epochs=3", "--model.scheduler.T_max=3"],
}
FEW_LABELS = [
    "--data.train_per_class=6",
    "--data.batch_size=32",
    "--trainer.max_epochs=60",
    "--model.scheduler.T_max=60",
]


@pytest.mark.slow
def test_the_arms_are_not_capped_and_a_second_clustering_does_not_reverse_what_the_first_resolved(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found: dict[int, dict[str, dict[str, float]]] = {0: {}, 1: {}}
    for arm, options in ARMS.items():
        assert main(["fit", *FEW_LABELS, *options, f"--trainer.default_root_dir=runs/{arm}"]) == 0
    for seed, arm in itertools.product(found, ARMS):
        file = tmp_path / f"{arm}-{seed}.json"
        options = ["--split=test", "--samples=300", f"--seed={seed}", f"--json={file}"]
        assert main(["pid", f"--student=runs/{arm}", *options]) == 0
        found[seed][arm] = json.loads(file.read_text())["matrix"]["stage3"]["stage3"]
    for values in (cell for cells in found.values() for cell in cells.values()):
        assert values["information_teacher"] > 3
        assert values["cap_teacher"] > 3.3, "as much as H(Y)"
        assert "redundant" in values, "300 images are enough for it"
    resolved = 0
    for name in ("redundant", "unique_teacher"):
        for one, other in itertools.combinations(ARMS, 2):
            first, second = (found[seed][one][name] - found[seed][other][name] for seed in (0, 1))
            half = max(found[0][arm][f"{name}_upper"] - found[0][arm][name] for arm in (one, other))
            if abs(first) > half:
                resolved += 1
                assert second * first > 0, f"{name} of {one} and {other}"
    assert resolved, "no order was resolved, so nothing was tested"
