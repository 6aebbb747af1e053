"""Load weights from files in the layouts that are in common use."""

__all__ = ["load_weights"]

import pickle
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdlight.errors import MissingFileError, UserError
from kdlight.models.published import fetch_published, is_published

# A file with a larger value counts as damaged: a flipped bit can make a number huge. Weights and running variances are
# far smaller.
LARGEST = 1e10
ZIP_MAGIC = b"PK\x03\x04"  # the first bytes of every file that `torch.save` of torch 1.6 or later writes


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a file of weights into a model; if they do not fit, the model is left unchanged.

    The docstring of `read_state_dict` lists the layouts that can be read. Values are cast to the model's types. A head
    `linear` in the file is loaded into the model's head `fc`, and a head `fc` into the model's head `linear`. If the
    model is a `Tapped`, kdlight's wrapper of other libraries' models, the file may also hold the weights of the wrapped
    model alone.

    Raises:
        MissingFileError: If there is no such file.
        UserError: If the file holds no weights, or their names or shapes do not fit the model.
    """
    expected = model.state_dict()
    file = read_state_dict(path)
    free = expected.keys() - file.keys()
    given = {_find_alias(name, free): tensor for name, tensor in file.items()}
    # Files from before torch 0.4.1 lack num_batches_tracked. Only batch normalisation with momentum=None uses it.
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in expected]
    reshaped = [
        f"{name} is {tuple(given[name].shape)}, needed {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if problems:
        raise UserError(f"{path} does not fit {type(model).__name__}: " + "\n".join(problems))
    model.load_state_dict(given, strict=False)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of one network from a file, on the CPU.

    `path` is the path of a file of `torch.save` or of a safetensors file, or has the form `published:NAME` (see
    `kdlight.models.published`). A file of `torch.save` may hold a `state_dict` alone, or a `state_dict` under the key
    `model` or `state_dict`. It is read with `weights_only=True`, so that it cannot run code. From the checkpoint of a
    kdlight run, only the student's weights are returned. If all names begin with `module.` (`DataParallel`) or `model.`
    (a wrapper), this prefix is removed.

    A file is refused as damaged if the absolute value of a weight is above `LARGEST` or not finite. Files of
    `torch.save` from torch 1.6 on contain checksums, which are checked, too (`check_records`). Safetensors files and
    older files of `torch.save` contain none. In these files, a flipped bit of a weight is noticed only if the
    changed absolute value is above `LARGEST` or not finite.

    Raises:
        MissingFileError: If there is no such file.
        UserError: If the file cannot be loaded without running code, is damaged, or holds no weights.
    """
    given = str(path)
    path = fetch_published(path) if is_published(path) else Path(path)
    if not path.is_file():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise MissingFileError(
            f"no file of weights at '{given}'{where}; expected the path of a checkpoint or a state_dict"
        )
    weights = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(
            f"{path} holds no state_dict: expected a dict of tensors, at the top level or under the key 'model' or "
            "'state_dict'"
        )
    for prefix in ("module.", "model."):
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    _check_values(path, weights)
    return weights


def check_records(path: str | Path) -> None:
    """Compare the records of a file of `torch.save` with their CRC32 checksums, which `torch.load` does not do.

    A record is an entry of the zip archive that `torch.save` writes. The check reads the whole file, at about 1.5 GB/s.
    A file without checksums (a pickle from before torch 1.6) passes.

    Raises:
        UserError: If a record was changed, or the archive is damaged in another way.
    """
    with open(path, "rb") as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError:
        raise
    except Exception as error:  # Reading a damaged archive can raise anything.
        raise UserError(
            f"{path} cannot be read: expected a whole archive of torch.save, got {Path(path).stat().st_size} bytes "
            f"that are truncated or damaged ({error}); give another file, or copy this one again"
        ) from error
    if damaged is not None:
        raise UserError(
            f"{path} is damaged: the bytes of its record {damaged} do not match their CRC32 checksum; copy the file "
            "again from where it came from, or train again"
        )


def _check_values(path: Path, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if not (tensor.is_floating_point() or tensor.is_complex()) or not tensor.numel():
            continue
        size = tensor.detach().abs().max().item()
        if not size <= LARGEST:  # Comparisons with NaN are False, so NaN is caught, too.
            raise UserError(
                f"{path} holds no usable weights: expected finite numbers up to {LARGEST:g}, got {size:g} in {name}; "
                "the file is damaged, or the training diverged: use other weights"
            )


def count_classes(state_dict: Mapping[str, Tensor]) -> int:
    """Return a network's number of classes: the number of rows of its last matrix, the classifier head's weight.

    Raises:
        UserError: If there is no matrix.
    """
    matrices = [tensor for tensor in state_dict.values() if tensor.ndim == 2]
    if not matrices:
        raise UserError("expected weights with a classifier head (a matrix with one row per class); found no matrix")
    return matrices[-1].shape[0]


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is no safetensors file: {error}") from None


def _read_pickle(path: Path) -> dict[str, Any]:
    check_records(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"needs {needed[1]}, which can run code" if needed else "is no file of torch.save"
        raise UserError(f"{path} {reason}: save the weights alone, torch.save(model.state_dict(), path)") from None
    except OSError:
        raise
    except Exception as error:  # reading bytes that are no pickle can raise anything
        reason = next(iter(str(error).splitlines()), "it ends too early")
        raise UserError(
            f"{path} cannot be read: expected a file of torch.save, got {type(error).__name__}: {reason}"
        ) from None
    weights: dict[str, Any] = content if isinstance(content, dict) else {}
    if isinstance(weights.get("model"), dict):
        return dict(weights["model"])
    if isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
        prefix = "student."
        student = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        return student or dict(weights)
    return weights


def _find_alias(name: str, free: Collection[str]) -> str:
    """Return the name that a tensor of the file has in the model.

    The head may be called `fc` in the file and `linear` in the model, or the reverse. Or the tensor's name in the model
    may be `model.` followed by its name in the file. Otherwise `name` is returned.

    Args:
        name: The tensor's name in the file.
        free: Names in the model that the file does not have.
    """
    layer, _, rest = name.partition(".")
    other_head = {"fc": "linear", "linear": "fc"}.get(layer, layer)
    return next((alias for alias in (f"{other_head}.{rest}", f"model.{name}") if alias in free), name)
