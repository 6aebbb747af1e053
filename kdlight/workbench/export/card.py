"""The model card of an exported student, in the format of the Hugging Face Hub."""

import json
from pathlib import Path
from typing import Any

import yaml

from kdlight.atoms import ATOMS
from kdlight.runs.preparation import Preparation

OPEN = {
    "onnx": ('session = onnxruntime.InferenceSession("model.onnx")', 'session.run(None, {"pixels": pixels})[0][0]'),
    "torch-export": (
        'model = torch.export.load("model.pt2").module()',
        "model(torch.from_numpy(pixels))[0].detach().numpy()",
    ),
}
LIBRARY = {"onnx": "onnxruntime", "torch-export": "torch"}
SCRIPT = """import json, sys
import {library}, numpy as np
from PIL import Image, ImageOps
told = json.load(open("preparation.json"))
(height, width), short = told["image_shape"][1:], told["resize_size"]
image = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("{mode}")
image = image.resize([max(short, short * side // min(image.size)) for side in image.size], Image.Resampling.BILINEAR)
left, top = round((image.width - width) / 2), round((image.height - height) / 2)
pixels = np.asarray(image.crop((left, top, left + width, top + height))).reshape(height, width, -1)
pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
{opened}
print(told["class_names"][{logits}.argmax()])
"""
WITH_KDLIGHT = """import kdlight
from kdlight.models.weights import load_weights
{network}
load_weights(model, "model.safetensors")  # model(images) gives logits; preparation.json says how images are prepared
model.eval()
"""


def write_card(run: Any, prepared: Preparation, kind: str, check: Any, license_id: str, file: Path) -> None:
    """Write the card.

    Args:
        run: The run, a `kdlight.workbench.finished_runs.Run`.
        prepared: How images are prepared, and the names of the classes.
        kind: The format of the exported student.
        check: The result of comparing the exported file with the checkpoint.
        license_id: The licence's identifier on the Hub.
        file: The path of the card.
    """
    config = run.config
    result = run.result if run.files.result.is_file() else {}
    header = _write_header(run, config, result, check, license_id, kind)
    file.write_text(f"---\n{header}---\n\n{_write_body(run, config, result, prepared, kind, check)}", encoding="utf-8")


def _write_header(run: Any, config: Any, result: Any, check: Any, license_id: str, kind: str) -> str:
    data = _name_class(config["data"])
    accuracy = {"type": "accuracy", "value": round(_find_accuracy(run, result, check), 6)}
    evaluated = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data, "type": data.lower()},
        "metrics": [accuracy],
    }
    fields: dict[str, Any] = {
        "license": license_id,
        "library_name": "kdlight" if kind == "safetensors" else LIBRARY[kind],
        "pipeline_tag": "image-classification",
        "tags": ["knowledge-distillation", "kdlight", _name_class(config["model"])],
        "model-index": [{"name": run.folder.name, "results": [evaluated]}],
    }
    if license_id == "other":
        fields["license_name"] = "unknown"
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _write_body(run: Any, config: Any, result: Any, prepared: Preparation, kind: str, check: Any) -> str:
    student = config["model"]["init_args"]["student"]
    teacher = config["model"]["init_args"].get("teacher")
    data = config["data"]
    arguments = data.get("init_args") or {}
    folder = Path(arguments.get("data_dir", "bundled")).name  # the full path is private, the card is published
    rows = {
        "student": f"{_describe(student)}, {result.get('student_parameters', 'unknown')} parameters",
        "teacher": f"{_describe(teacher)}, sha256 {result.get('teacher_sha256', 'unknown')}" if teacher else "none",
        "method": _name_class(config["model"]),
        "data": f"{_name_class(data)} ({folder}), classes: {', '.join(prepared.class_names)}",
        "images": f"{' x '.join(map(str, prepared.image_shape))}, shorter side resized to {prepared.resize_size}, "
        f"centre cropped; mean {_list_numbers(prepared.mean)}, std {_list_numbers(prepared.std)} of pixels in [0, 1]",
        **{
            f"test accuracy, {name} epoch": f"{100 * values['accuracy']:.2f} %"
            for name, values in (result.get("test") or {}).items()
        },
        "check": f"on {check.images} test images no logit differs from the checkpoint's by more than "
        f"{check.difference:.1e}; accuracy on these images {100 * check.accuracy:.2f} %",
    }
    if check.int8_accuracy is not None:
        rows["int8"] = (
            f"accuracy on these images {100 * check.int8_accuracy:.2f} %, the same class as float32 on "
            f"{100 * check.int8_agreement:.2f} % of them (model-int8.onnx)"
        )
    rows |= {
        "seed": str(result.get("seed", "unknown")),
        "commit": str(result.get("git_commit") or "unknown"),
        "command": f"`{result.get('command', 'unknown')}`",
        "packages": ", ".join(f"{name} {version}" for name, version in (result.get("packages") or {}).items()),
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    usage = _describe_usage(student, prepared, kind)
    return f"# {run.folder.name}\n\n| | |\n|---|---|\n{table}\n{_describe_information(result)}## Use\n\n{usage}"


def _describe_usage(student: Any, prepared: Preparation, kind: str) -> str:
    if kind == "safetensors":
        arguments = {**(student.get("init_args") or {}), **(student.get("dict_kwargs") or {})}
        module, _, name = student["class_path"].rpartition(".")
        if "pretrained" in arguments:
            arguments["pretrained"] = False
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        if "class_path" in given:  # a network that contains another one
            network = (
                "from kdlight.cli.objects import build_object\nfrom kdlight.models import Classifier\n"
                f"model = build_object(Classifier, {json.loads(json.dumps(student))!r})"
            )
        else:
            network = f"from {module} import {name}\nmodel = {name}({given})"
        return f"With kdlight:\n\n```python\n{WITH_KDLIGHT.format(network=network)}```\n"
    opened, logits = OPEN[kind]
    mode = "L" if prepared.image_shape[0] == 1 else "RGB"
    script = SCRIPT.format(library=LIBRARY[kind], mode=mode, opened=opened, logits=logits)
    intro = (
        "The exported program expects uint8 pixels (batch, channels, height, width) of any batch size and returns "
        "logits. It normalises images but does not resize them. Save this script in this folder as predict.py: "
        "`python predict.py IMAGE` then prints the class of an image, without kdlight."
    )
    return f"{intro}\n\n```python\n{script}```\n"


def _describe_information(result: Any) -> str:
    """Return a table of the PID of the logits or, if this was not measured, of the last measured stage.

    If no PID was measured, return an empty text. The PID (partial information decomposition) splits what teacher and
    student tell about the label into redundant, unique and synergistic information.
    """
    measured = result.get("pid_test") or {}
    if not measured:
        return ""
    place = "logits" if "logits" in measured else list(measured)[-1]
    atoms = measured[place]
    names = [name for name in ATOMS if name in atoms]
    rows = "".join(f"| {name.replace('_', ' ')} | {atoms[name]:.3f} |\n" for name in names)
    return (
        "## What was transferred\n\nPartial information decomposition of what teacher and student tell about the "
        f"label. It was measured on the test set at {place}.\n\n| atom | bits |\n|---|---|\n{rows}\n"
    )


def _find_accuracy(run: Any, result: Any, check: Any) -> float:
    tested = (result.get("test") or {}).get(run.checkpoint.stem) or {}
    return float(tested.get("accuracy", check.accuracy))


def _describe(network: Any) -> str:
    name = (network.get("init_args") or {}).get("name")
    return f"{_name_class(network)} {name}" if name else _name_class(network)


def _name_class(part: Any) -> str:
    return str(part["class_path"]).rpartition(".")[2]


def _list_numbers(values: Any) -> str:
    return ", ".join(f"{value:g}" for value in values)
