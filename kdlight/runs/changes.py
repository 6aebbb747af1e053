"""Find the options that changed when a run is continued, and refuse changes that are not allowed."""

from collections.abc import Mapping, Sequence
from pydoc import locate
from typing import Any

import yaml
from torch.optim import Optimizer

from kdlight.arguments import UNKNOWN
from kdlight.errors import UserError

# Options that may differ when a run is continued. They determine on which devices, with which kernels and for how long
# the run computes, where its files lie, and what it shows. A name also stands for all options nested in it. Paths of
# weights may change: the student's weights come from the checkpoint, which also holds the sha256 of the teacher's
# weights, so that a teacher with other weights is refused when the checkpoint is loaded. The precision may not change,
# because accuracies of runs are compared at equal precision.
MAY_CHANGE = (
    *("ckpt_path", "weights_only", "resume_changed", "optimizer", "lr_scheduler"),
    *(f"trainer.{name}" for name in ("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time")),
    *(f"trainer.{name}" for name in ("accelerator", "devices", "num_nodes", "strategy", "plugins", "sync_batchnorm")),
    *(f"trainer.{name}" for name in ("default_root_dir", "logger", "log_every_n_steps", "profiler", "barebones")),
    *(f"trainer.{name}" for name in ("enable_progress_bar", "enable_model_summary", "enable_checkpointing")),
    *(f"trainer.{name}" for name in ("num_sanity_val_steps", "limit_test_batches", "limit_predict_batches")),
    *(f"trainer.{name}" for name in ("fast_dev_run", "detect_anomaly", "benchmark", "deterministic", "model_registry")),
    *(f"data.init_args.{name}" for name in ("data_dir", "num_workers", "download")),
    *(f"model.init_args.{name}" for name in ("teacher_weights", "student_weights", "teacher_cache.path")),
    *(f"model.init_args.{name}" for name in ("compile", "channels_last")),
)
# These options come from the checkpoint when a run is resumed: a new value would be in config.yaml but have no effect.
RESTORED = ("model.init_args.optimizer", "model.init_args.scheduler")
LIMITS = ("max_epochs", "max_steps", "max_time")
# A callback of Lightning influences training if its class name contains one of these words. A callback from elsewhere
# influences training unless it has the attribute `only_observes = True`.
LEARNING = ("Averaging", "Finetuning", "GradientAccumulationScheduler", "LambdaCallback", "Pruning")
SHOWN = 4  # how many differences a message lists


def require_unchanged(before: str, now: str, run: str, *, on_purpose: bool) -> None:
    """Refuse to continue a run with another configuration.

    Args:
        before: The resolved configuration of the run, as YAML.
        now: The resolved configuration with which the run is to be continued, as YAML.
        run: The run's folder, for the message.
        on_purpose: Whether to accept differences (``--resume_changed true``), except in options that are restored from
            the checkpoint.

    Raises:
        UserError: If an option differs that is not in `MAY_CHANGE`; with `on_purpose`, only if it is in `RESTORED`. The
            message has the names of up to `SHOWN` such options, with their old and new values.
    """
    found = find_differences(before, now)
    restored = {key: values for key, values in found.items() if _is_below(key, RESTORED)}
    if restored:
        raise UserError(
            f"{_format_differences(restored)}: the checkpoint of {run} restores optimizer and schedule as they were; "
            "go on without the change, or start a run from the trained weights: --model.student_weights PATH"
        )
    if found and not on_purpose:
        raise UserError(
            f"{_format_differences(found)}: expected the configuration that the run in {run} began with; leave "
            "--ckpt_path out to start another run, or change this run on purpose: --resume_changed true"
        )


def require_same_optimizers(saved: Sequence[Mapping[str, Any]], optimizers: Sequence[Optimizer]) -> None:
    """Compare the optimizers of a checkpoint with those of the run that continues from it.

    Args:
        saved: The ``optimizer_states`` of the checkpoint.
        optimizers: The optimizers of the run.

    Raises:
        UserError: If the groups of parameters differ in number or size, or if the checkpoint lacks options of an
            optimizer, which shows that the checkpoint's optimizer was of another class.
    """
    shapes = [[len(group["params"]) for group in state["param_groups"]] for state in saved]
    expected = [[len(group["params"]) for group in optimizer.param_groups] for optimizer in optimizers]
    options = [{key for group in state["param_groups"] for key in group} for state in saved]
    missing = [sorted(set(optimizer.defaults) - given) for optimizer, given in zip(optimizers, options, strict=False)]
    if shapes == expected and not any(missing):
        return
    names = ", ".join(type(optimizer).__name__ for optimizer in optimizers)
    lacks = [f"lacks the options {', '.join(keys)}" for keys in missing if keys]
    differs = lacks[0] if lacks else f"has groups of {shapes} parameters, not {expected}"
    raise UserError(
        f"the checkpoint was written with another optimizer than {names}: it {differs}; go on with the optimizer and "
        "the method of the run, or start a run from the trained weights: --model.student_weights PATH"
    )


def find_differences(before: str, now: str) -> dict[str, tuple[Any, Any]]:
    """Return the old and the new value of each option that differs and is not in `MAY_CHANGE`, by the option's name.

    If a class differs, the options of the class are left out.
    """
    old, new = (_flatten(yaml.safe_load(text)) for text in (before, now))
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted({*old, *new}, key=lambda key: (key.count("."), key)):
        values = old.get(key), new.get(key)
        classes = [other.removesuffix("class_path") for other in found if other.endswith("class_path")]
        if values[0] != values[1] and not _is_below(key, MAY_CHANGE) and not key.startswith(tuple(classes)):
            found[key] = values
    return found


def has_same_limits(before: str, now: str) -> bool:
    """Return whether two configurations have the same limits of epochs, steps and time."""
    old, new = (yaml.safe_load(text)["trainer"] for text in (before, now))
    return all(old.get(name) == new.get(name) for name in LIMITS)


def _flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return every value of a configuration by its dotted name; callbacks that only observe are left out."""
    if prefix == "trainer.callbacks.":
        config = [callback for callback in (config if isinstance(config, list) else [config]) if _learns(callback)]
    items = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else None
    if items is None:
        return {prefix.removesuffix("."): config}
    return {name: value for key, item in items for name, value in _flatten(item, f"{prefix}{key}.").items()}


def _learns(callback: Any) -> bool:
    """Return whether a callback, as a configuration describes it, influences training."""
    described = callback.get("class_path") if isinstance(callback, Mapping) else callback
    path = str(described or "").removeprefix(UNKNOWN)
    if path.startswith(("lightning.", "pytorch_lightning.")):
        return any(part in path.rpartition(".")[2] for part in LEARNING)
    return bool(path) and not getattr(locate(path), "only_observes", False)


def _is_below(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _format_differences(found: Mapping[str, tuple[Any, Any]]) -> str:
    said = [f"{key} was {old!r}, is now {new!r}" for key, (old, new) in list(found.items())[:SHOWN]]
    return ", ".join(said) + (f" and {len(found) - SHOWN} more differ" if len(found) > SHOWN else "")
