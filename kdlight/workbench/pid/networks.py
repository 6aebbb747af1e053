"""Each stage of a finished teacher against each stage of a finished student."""

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.information.atoms import estimated_atoms
from kdlight.information.discretizer import Symbols
from kdlight.information.entropies import entropy
from kdlight.information.histogram import joint_histogram
from kdlight.measuring.places import taken
from kdlight.measuring.probe import Probe, images_for
from kdlight.measuring.symbols import Symboliser
from kdlight.methods.base.stages import trial
from kdlight.models.classifier import Classifier
from kdlight.models.frozen import Frozen
from kdlight.workbench.finished import Run


def compare_networks(options: argparse.Namespace, settings: Any, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Decompose what the networks of finished runs tell about the label.

    Args:
        options: ``student``, ``teacher``, ``split``, ``samples`` and ``fit_samples`` of the command.
        settings: ``symbols``, ``clusters``, ``components``, ``seed`` and ``tolerance``.
        changed: Arguments of the data that are others than the student's run had.

    Returns:
        What was compared, and the ``matrix`` of atoms by the teacher's stage and the student's.

    Raises:
        MissingFileError: If there is no such run.
        UserError: If a number is too small or features are not finite.
    """
    for name, value in (("--samples", options.samples), ("--fit_samples", options.fit_samples)):
        if value is not None and value < 4:
            raise UserError(f"{name}: expected at least 4, got {value}")
    run = Run(options.student)
    student = _on_device(run.student())
    if options.teacher is None:
        teacher = _on_device(run.teacher())
    elif options.teacher.is_file() and not Run.has_run(options.teacher):
        teacher = _on_device(run.teacher(options.teacher))
    else:
        teacher = _on_device(Run(options.teacher).student())
    data = run.data(changed)
    data.setup("fit")
    data.setup("test")
    probe = Probe.take(data, options.split, options.samples, options.fit_samples)
    symboliser = Symboliser(settings.symbols, settings.clusters, settings.components, settings.seed)
    of_teacher, of_student = (
        _symbols(network, name, probe, symboliser) for network, name in ((teacher, "teacher"), (student, "student"))
    )
    matrix = {
        first: {
            second: estimated_atoms(
                joint_histogram(first_symbols, second_symbols, probe.target),
                names=("teacher", "student", "label"),
                tolerance=settings.tolerance,
                seed=settings.seed,
            )
            for second, second_symbols in of_student.items()
        }
        for first, first_symbols in of_teacher.items()
    }
    return {
        "student": str(run.checkpoint),
        "teacher": None if options.teacher is None else str(options.teacher),
        "teacher_sha256": teacher.sha256(),
        "split": options.split,
        "samples": len(probe.target),
        **settings._asdict(),
        "label_entropy": entropy(np.bincount(probe.target) / len(probe.target)),
        "matrix": matrix,
    }


def _on_device(network: Classifier) -> Frozen:
    return Frozen(network.to("cuda" if torch.cuda.is_available() else "cpu"))


def _symbols(network: Frozen, name: str, probe: Probe, symboliser: Symboliser) -> dict[str, Symbols]:
    stages = len(trial(network.model, network.model.image_shape).stages)
    places: dict[str, int | str] = {f"stage{place + 1}": place for place in range(stages)}
    places |= {"embedding": "embedding", "logits": "logits"}
    if symboliser.method == "predictions":
        places = {"logits": "logits"}

    def features(batch: Batch) -> dict[str, Tensor]:
        computed = network.activations(images_for(network.model, batch))
        return {name: taken(computed, place) for name, place in places.items()}

    symbols = symboliser.symbols(features, probe.counted, symboliser.fitted(features, probe.fitted))
    if broken := [place for place in places if place not in symbols]:
        raise UserError(f"the {name}'s {', '.join(broken)} is not finite; choose another checkpoint")
    return symbols
