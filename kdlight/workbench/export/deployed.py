"""A student that normalises its images itself, and functions that write the student to files of several formats."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kdlight.errors import UserError
from kdlight.runs.preparation import Preparation

Program = Callable[[Tensor], Tensor]  # a function from pixels to logits
NEEDS_ONNX = "needs onnx, onnxruntime and onnxscript, and {} is not installed: pip install kdlight[onnx]"


class DeployedStudent(nn.Module):
    """A student that normalises its images itself: it takes uint8 pixels (batch, channels, height, width).

    Args:
        student: The network.
        prepared: The mean and std with which the student's images are normalised.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, student: nn.Module, prepared: Preparation) -> None:
        super().__init__()
        self.student = student
        self.register_buffer("mean", 255 * torch.tensor(prepared.mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(prepared.std).reshape(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the logits (batch, classes)."""
        logits: Tensor = self.student((pixels.float() - self.mean) / self.std)
        return logits


def write_onnx(model: DeployedStudent, image_shape: Sequence[int], file: Path) -> Program:
    """Write an ONNX file that takes batches of any size, open it with onnxruntime, and return it as a function.

    Raises:
        UserError: If a package is missing.
    """
    require_onnx()
    with _silence():
        torch.onnx.export(
            model,
            (_make_example(image_shape),),
            file,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["pixels"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    return open_onnx(file)


def open_onnx(file: Path) -> Program:
    """Open an ONNX file with onnxruntime on the CPU, and return it as a function from pixels to logits."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(pixels: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"pixels": pixels.numpy()})
        return torch.from_numpy(np.asarray(logits))

    return run


def write_torch_export(model: DeployedStudent, image_shape: Sequence[int], file: Path) -> Program:
    """Write a program of `torch.export` that takes batches of any size, load it again, and return it."""
    with _silence():
        batch = torch.export.Dim("batch")
        program = torch.export.export(model, (_make_example(image_shape),), dynamic_shapes=({0: batch},))
        torch.export.save(program, file)
        loaded = torch.export.load(file).module()
    return torch.no_grad()(loaded)


def write_safetensors(model: DeployedStudent, again: nn.Module, prepared: Preparation, file: Path) -> Program:
    """Write the student's weights, load the file into the network `again`, and return `again` as a `DeployedStudent`.

    The returned network should compute the same logits as `model`; the caller checks this.

    Args:
        model: The student whose weights are written.
        again: A network of the same architecture, with other weights.
        prepared: The mean and std with which the student's images are normalised.
        file: The file to write.
    """
    weights = {name: tensor.contiguous().clone() for name, tensor in model.student.state_dict().items()}
    save_file(weights, file, metadata={"format": "pt"})
    again.load_state_dict(load_file(file))
    return torch.no_grad()(DeployedStudent(again, prepared).eval())


def require_onnx() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        UserError: If a package is missing.
    """
    import importlib.util

    for package in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"ONNX {NEEDS_ONNX.format(package)}")


def quantize_to_int8(file: Path, calibration: Iterator[Tensor], target: Path) -> Program:
    """Quantise an ONNX file to int8: weights with a scale per channel, activations with ranges measured on images.

    Args:
        file: The float32 file.
        calibration: Batches of pixels on which the ranges are measured.
        target: The int8 file to write.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def get_next(self) -> dict[str, Any] | None:
            pixels = next(calibration, None)
            return None if pixels is None else {"pixels": pixels.numpy()}

    ready = target.with_suffix(".ready")
    try:
        with _silence():
            quant_pre_process(str(file), str(ready))
            # Weights get seven bits, because CPUs without VNNI instructions add two products of weights and activations
            # in 16 bits. With eight-bit weights, this sum could overflow.
            quantize_static(
                str(ready),
                str(target),
                Images(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    finally:
        ready.unlink(missing_ok=True)
    return open_onnx(target)


def _make_example(image_shape: Sequence[int]) -> Tensor:
    return torch.zeros(2, *image_shape, dtype=torch.uint8)


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what the exporting libraries print, log and warn of, because it is meant for their own developers."""
    import logging

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
