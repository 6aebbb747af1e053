"""Measure the PID of a finished run's student with one teacher at all stages, or with several teachers at one stage.

The PID (partial information decomposition) says how many bits about the label both networks have (redundant), only one
has (unique), or only both together have (synergistic).
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kdlight.errors import UserError
from kdlight.measuring.comparison import Comparison
from kdlight.measuring.feature_pairs import FeaturePair, pair_features
from kdlight.measuring.probe import Probe
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.measuring.report import Report, StageReport
from kdlight.methods.base.stages import run_blank_images
from kdlight.models.classifier import Classifier
from kdlight.models.frozen import Frozen
from kdlight.workbench.finished_runs import Run

__all__ = ["Matrix", "Ranking", "compare_networks", "rank_teachers"]


@dataclass(frozen=True)
class Matrix:
    """The PID of each stage of a teacher with each stage of a student."""

    circumstances: Mapping[str, Any]
    """Which networks and images were measured, and how."""
    cells: Mapping[str, Mapping[str, StageReport]]
    """``cells[teacher_stage][student_stage]`` is the measurement of this pair of stages."""
    bounds: Mapping[str, float]
    """The label's entropy, and bounds of the PID that hold for any choice of symbols, see `bound_informations`."""

    def to_dict(self) -> dict[str, Any]:
        """Return all values, for a JSON file."""
        rows = {
            first: {second: report.to_dict(details=True) for second, report in row.items()}
            for first, row in self.cells.items()
        }
        return {**self.circumstances, "bounds": dict(self.bounds), "matrix": rows}


@dataclass(frozen=True)
class Ranking:
    """The PID of several teachers with one student at one stage, sorted by the teachers' unique information."""

    circumstances: Mapping[str, Any]
    """Which student and images were measured, and how."""
    place: str
    """The name of the stage."""
    teachers: Mapping[str, StageReport]
    """The measurement of each teacher, by the path of its run."""

    def to_dict(self) -> dict[str, Any]:
        """Return all values, for a JSON file."""
        reports = {name: report.to_dict(details=True) for name, report in self.teachers.items()}
        return {**self.circumstances, "place": self.place, "teachers": reports}


def compare_networks(options: argparse.Namespace, settings: Any, changed: Mapping[str, Any]) -> Matrix:
    """Decompose the information that two trained networks contain about the label, for every pair of their stages.

    Args:
        options: The command's options ``student``, ``teacher``, ``weights``, ``split``, ``samples``, ``fit_samples``
            and ``details``.
        settings: The command's options ``symbols``, ``clusters``, ``components``, ``repeats``, ``seed`` and
            ``tolerance``.
        changed: Arguments of the data module that differ from those of the student's run.

    Raises:
        MissingFileError: If there is no such run.
        UserError: If there are too few images, or features are not finite.
    """
    run = Run(options.student, options.weights)
    student, probe = _move_to_device(run.student()), _take_probe(run, options, changed)
    if not options.teacher:
        teacher = _move_to_device(run.teacher())
    elif options.teacher[0].is_file() and not Run.has_run(options.teacher[0]):
        teacher = _move_to_device(run.teacher(options.teacher[0]))
    else:
        teacher = _move_to_device(Run(options.teacher[0], options.weights).student())
    of_teacher, of_student = (_list_places(network, settings.symbols) for network in (teacher, student))
    places = [
        FeaturePair(f"{first} {second}", in_student, in_teacher)
        for first, in_teacher in of_teacher.items()
        for second, in_student in of_student.items()
    ]
    report = _measure(teacher, student, probe, settings, places, options.details)
    cells = {first: {second: report.stages[f"{first} {second}"] for second in of_student} for first in of_teacher}
    named = {"student": str(run.checkpoint), "teacher": str(options.teacher[0]) if options.teacher else None}
    named["teacher_sha256"] = teacher.sha256()
    return Matrix({**named, **_describe_circumstances(run, options, settings, probe)}, cells, report.bounds)


def rank_teachers(options: argparse.Namespace, settings: Any, changed: Mapping[str, Any]) -> Ranking:
    """Measure the information that each of several teachers could still give a student.

    With ``symbols`` "kmeans" or "quantile", the features of all teachers are turned into the same number of symbols. If
    ``clusters`` is None, a number is chosen for each teacher alone, and the smallest of these numbers is taken for all.

    Args:
        options: As for `compare_networks`; also ``stage``, at which the networks are compared.
        settings: As for `compare_networks`.
        changed: As for `compare_networks`.

    Raises:
        MissingFileError: If there is no such run.
        UserError: As in `compare_networks`; also if a stage does not exist, or two teachers are the same run.
    """
    run = Run(options.student, options.weights)
    student, probe = _move_to_device(run.student()), _take_probe(run, options, changed)
    if len(set(options.teacher)) < len(options.teacher):
        raise UserError("--teacher: expected different runs, got the same run twice")
    teachers = {str(path): _move_to_device(Run(path, options.weights).student()) for path in options.teacher}
    compared = {}
    for name, teacher in teachers.items():
        (place,) = pair_features(_count_stages(student), _count_stages(teacher), [options.stage])[-1:]
        compared[name] = (teacher, place)
    if settings.symbols in ("kmeans", "quantile") and settings.clusters is None:
        bearable = [
            Comparison(teacher, probe, _make_discretizer(settings), [place]).clusters[place.name]
            for teacher, place in compared.values()
        ]
        settings = settings._replace(clusters=min(bearable))
    found = {
        name: _measure(teacher, student, probe, settings, [place], options.details).stages[place.name]
        for name, (teacher, place) in compared.items()
    }
    ranked = dict(sorted(found.items(), key=lambda item: -item[1].pid.unique_first.value))
    named = {"student": str(run.checkpoint), **_describe_circumstances(run, options, settings, probe)}
    return Ranking(named, place.name, ranked)


def _take_probe(run: Run, options: argparse.Namespace, changed: Mapping[str, Any]) -> Probe:
    for name, value in (("--samples", options.samples), ("--fit_samples", options.fit_samples)):
        if value is not None and value < 8:
            raise UserError(f"{name}: expected at least 8, got {value}")
    data = run.data(changed)
    data.setup("fit")
    data.setup("test")
    return Probe.take(data, options.split, options.samples, options.fit_samples)


def _make_discretizer(settings: Any) -> RepeatedDiscretizer:
    return RepeatedDiscretizer(
        settings.symbols, settings.clusters, settings.components, settings.seed, settings.repeats
    )


def _measure(
    teacher: Frozen, student: Frozen, probe: Probe, settings: Any, places: list[FeaturePair], details: bool
) -> Report:
    comparison = Comparison(
        teacher, probe, _make_discretizer(settings), places, tolerance=settings.tolerance, details=details
    )
    report = comparison.measure(student)
    if broken := {place.student for place in places if place.name not in report.stages}:
        names = ", ".join(f"stage{name + 1}" if isinstance(name, int) else name for name in broken)
        raise UserError(f"the student's features of {names} are not finite; choose another checkpoint")
    return report


def _describe_circumstances(run: Run, options: argparse.Namespace, settings: Any, probe: Probe) -> dict[str, Any]:
    data = run.config["data"]["class_path"].rpartition(".")[2].removesuffix("DataModule")
    return {"data": data, "split": options.split, "samples": probe.samples, **settings._asdict()}


def _move_to_device(network: Classifier) -> Frozen:
    return Frozen(network.to("cuda" if torch.cuda.is_available() else "cpu"))


def _count_stages(network: Frozen) -> int:
    return len(run_blank_images(network.model, network.model.image_shape).stages)


def _list_places(network: Frozen, method: str) -> dict[str, int | str]:
    if method == "predictions":
        return {"logits": "logits"}
    places: dict[str, int | str] = {f"stage{place + 1}": place for place in range(_count_stages(network))}
    return {**places, "embedding": "embedding", "logits": "logits"}
