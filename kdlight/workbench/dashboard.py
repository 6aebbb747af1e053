"""``kdlight dashboard PROJECT``: write a Weights & Biases workspace to a file.

A workspace is the set of panels that show a project's runs. The option --save also saves it in the project. PID is the
partial information decomposition of what teacher and student tell about the label.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kdlight.atoms import ATOMS
from kdlight.errors import UserError
from kdlight.files import parse_path, replace_file
from kdlight.internals import describe_workspace
from kdlight.workbench.command_parser import CommandParser

TEST = {
    "accuracy": "test accuracy",
    "agreement": "agreement with the teacher",
    "calibration_error": "calibration error",
    "kl_divergence": "KL divergence from the teacher",
}


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        UserError: If an option is wrong, the library for workspaces is missing, or W&B refuses to save the workspace.
    """
    options = make_parser().parse_args(arguments[1:])
    if not options.project:
        raise UserError("PROJECT: expected the name of a W&B project, got ''")
    if find_spec("wandb_workspaces") is None:
        raise UserError("kdlight dashboard needs wandb-workspaces: pip install 'kdlight[dashboard]'")
    if options.save and not options.entity:
        raise UserError("--save: expected --entity with the W&B user or team that the project belongs to, got none")
    workspace = build_workspace(options.project, options.entity, options.stage or ["stage3", "logits"])
    with replace_file(options.output) as draft:
        draft.write_text(json.dumps(describe_workspace(workspace), indent=2) + "\n", encoding="utf-8")
    print(f"saved {options.output}")
    if options.save:
        from wandb.errors import Error

        try:
            workspace.save()
        except Error as error:
            reason = str(error).rstrip(".")
            raise UserError(f"--save: {reason}; log in with `wandb login`, or leave --save out") from error
        print(f"saved {workspace.url}")


def make_parser() -> CommandParser:
    """Make the parser of the command's options."""
    parser = CommandParser("kdlight dashboard", description=__doc__)
    parser.add_argument("project", metavar="PROJECT", help="W&B project of the runs")
    parser.add_argument("--entity", default="", help="W&B user or team; needed for --save")
    parser.add_argument(
        "--stage",
        action="append",
        metavar="NAME",
        help="stage whose PID is drawn; repeatable; default: stage3 and logits",
    )
    parser.add_argument(
        "-o", "--output", type=parse_path, default=Path("dashboard.json"), metavar="FILE", help="the file to write"
    )
    parser.add_argument("--save", action="store_true", help="also save the workspace in the W&B project")
    return parser


def build_workspace(project: str, entity: str, stages: Sequence[str]) -> Any:
    """Build the workspace: runs grouped by method and pair of networks, with curves, PID, test results and pictures.

    Args:
        project: The W&B project.
        entity: The W&B user or team; may be empty if the workspace is not saved in W&B.
        stages: Names of the stages whose PID is drawn.
    """
    import importlib

    panels: Any = importlib.import_module("wandb_workspaces.reports.v2")
    import wandb_workspaces.workspaces as workspaces

    def line(metric: str, title: str) -> Any:
        return panels.LinePlot(title=title, x="epoch", y=[metric])

    curves = [line("val/accuracy", "validation accuracy"), line("train/loss", "training loss")]
    tests = [panels.BarPlot(title=title, metrics=[f"result.test.last.{name}"]) for name, title in TEST.items()]
    sections = [
        workspaces.Section(name="Curves", is_open=True, panels=curves),
        workspaces.Section(name="Test, last weights", is_open=True, panels=tests),
    ]
    for stage in stages:
        atoms = [line(f"pid/{stage}/{atom}", f"{atom.replace('_', ' ')}, bits") for atom in ATOMS]
        sections.append(workspaces.Section(name=f"Information about the label, {stage}", is_open=True, panels=atoms))
    pictures = ["pictures/confusion", *(f"pictures/pid_{stage}" for stage in stages)]
    browsers = [panels.MediaBrowser(title=name.partition("/")[2], media_keys=[name]) for name in pictures]
    sections.append(workspaces.Section(name="Pictures", panels=browsers))
    grouped = workspaces.RunsetSettings(groupby=[workspaces.Config("method"), workspaces.Config("pair")])
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name="kdlight",
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis="epoch"),
        runset_settings=grouped,
    )
