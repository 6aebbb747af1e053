"""Functions that use private names of Lightning, torch, torchvision, jsonargparse and W&B, one for each purpose.

Any new version of a library may remove a private name. Setting a name that was removed would have no effect and raise
no error, so each function first checks that the name exists. None of the libraries is imported at the top of this file,
so importing this file is fast.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any


class MissingInternalError(RuntimeError):
    """The installed version of a library lacks a private name that kdlight depends on."""

    def __init__(self, owner: object, name: str) -> None:
        kind = owner if isinstance(owner, type) else type(owner)
        path = owner.__name__ if isinstance(owner, ModuleType) else f"{kind.__module__}.{kind.__qualname__}"
        super().__init__(
            f"{path} has no '{name}' in the installed version of {path.partition('.')[0]}: install a version that "
            "pyproject.toml of kdlight allows, or mend kdlight/internals.py"
        )


def _read(owner: Any, *names: str) -> Any:
    """Follow a chain of attributes: for the names "first" and "second", return ``owner.first.second``."""
    for name in names:
        try:
            owner = getattr(owner, name)
        except AttributeError:
            raise MissingInternalError(owner, name) from None
    return owner


def _write(owner: Any, name: str, value: Any) -> None:
    _read(owner, name)
    setattr(owner, name, value)


# Lightning: where a fit stands


def is_inside_epoch(trainer: Any) -> bool:
    """Return whether an epoch has begun and not ended yet."""
    progress = _read(trainer, "fit_loop", "epoch_progress", "current")
    return bool(_read(progress, "processed") < _read(progress, "started"))


def validates_after(trainer: Any, batch_idx: int) -> bool:
    """Return whether Lightning validates right after the training step whose index in the epoch is `batch_idx`."""
    whole = trainer.check_val_every_n_epoch is not None
    steps = batch_idx if whole else _read(trainer, "fit_loop", "total_batch_idx")
    every = _read(trainer, "val_check_batch")
    return isinstance(every, int) and (steps + 1) % every == 0


def count_batches(trainer: Any) -> int:
    """Return how many batches a fit has trained on so far, including those of earlier epochs."""
    return int(_read(trainer, "fit_loop", "total_batch_idx")) + 1


def is_resumed_mid_epoch(trainer: Any) -> bool:
    """Return whether the fit continues from a checkpoint inside an epoch."""
    return bool(_read(trainer, "fit_loop", "restarted_mid_epoch"))


def is_resumed_at_epoch_end(trainer: Any) -> bool:
    """Return whether the fit continues from a checkpoint that was written at the end of an epoch."""
    return bool(_read(trainer, "fit_loop", "resumed_on_epoch_end"))


def set_epoch(trainer: Any, epoch: int) -> None:
    """Set ``trainer.current_epoch`` of a trainer that is not running a fit."""
    _write(_read(trainer, "fit_loop", "epoch_progress", "current"), "completed", epoch)


def end_restart(trainer: Any) -> None:
    """Let Lightning treat a resumed fit like a fit that was never interrupted.

    Otherwise Lightning would not step `ReduceLROnPlateau` at the end of the epoch in which the fit was resumed.
    """
    _write(_read(trainer, "fit_loop"), "_restarting", False)
    steps = _read(trainer, "fit_loop", "epoch_loop")
    if _read(steps, "restarted_on_last") and validates_after(trainer, _read(steps, "batch_idx")):
        # The checkpoint was written after a step and the validation that follows the step. Lightning does not repeat
        # the validation, but it would count the step a second time.
        _write(steps, "_batches_that_stepped", _read(steps, "_batches_that_stepped") - 1)


# Lightning: what it logs


def read_epoch_row(trainer: Any) -> dict[str, float]:
    """Return the metrics that Lightning logs at the end of this epoch, and the step under which it logs them."""
    logged = _read(trainer, "_logger_connector", "metrics")["log"]
    row = {name: float(value) for name, value in logged.items()}
    return {**row, "step": _read(trainer, "fit_loop", "epoch_loop", "_batches_that_stepped") - 1}


def draw_progress_into(progress_bar: Any, stream: Any) -> None:
    """Let a `RichProgressBar` draw into a stream as if the stream were a terminal."""
    _write(progress_bar, "_console_kwargs", {"file": stream, "force_terminal": True})


# Lightning: how it stops


def stop_after_step(trainer: Any, *, stop: bool = True) -> None:
    """Let Lightning raise `SIGTERMException` where it next checks for a signal, or take this back.

    It checks at the end of each step, after the step's validation if there is one, and at the end of each epoch. During
    a validation, it also checks after each batch but the last.

    Args:
        trainer: The trainer.
        stop: False takes back an earlier request to stop.
    """
    _write(_read(trainer, "_signal_connector"), "received_sigterm", stop)


def share_no_signals(trainer: Any) -> None:
    """Keep the first process from telling the others, before every step, whether it has received SIGTERM."""
    _write(_read(trainer, "fit_loop", "epoch_loop"), "_broadcast_sigterm_tensor", lambda: None)


# Lightning and torch: DDP


def find_unused_parameters(strategy: Any) -> None:
    """Let DDP look in each step for parameters that get no gradient. Strategies other than DDP are not changed."""
    if any(kind.__name__ == "DDPStrategy" for kind in type(strategy).__mro__):
        _read(strategy, "_ddp_kwargs")["find_unused_parameters"] = True


def ignore_under_ddp(module: Any, names: Sequence[str]) -> None:
    """Keep DDP from checking and synchronising the named parameters and buffers of a module."""
    from torch.nn.parallel import DistributedDataParallel

    _read(DistributedDataParallel, "_set_params_and_buffers_to_ignore_for_model")(module, list(names))


# torch and torchvision


def read_version(tensor: Any) -> int:
    """Return how often a tensor has been changed in place."""
    return int(_read(tensor, "_version"))


def has_torchvision_operators(extension: Any) -> bool:
    """Return whether torchvision has loaded its compiled operators, given its module ``torchvision.extension``."""
    return bool(_read(extension, "_has_ops")())


# argparse, and jsonargparse, which builds on it


def list_actions(parser: Any) -> list[Any]:
    """Return the actions of a parser: one for each option and positional argument."""
    return list(_read(parser, "_actions"))


def list_options(parser: Any) -> set[str]:
    """Return the options of a parser, nested ones by their dotted names."""
    return {_read(action, "dest") for action in list_actions(parser)}


# Lightning's logger of W&B


def read_wandb_options(logger: Any) -> dict[str, Any]:
    """Return the dict of arguments that a `WandbLogger` will pass to ``wandb.init``. Changing the dict changes them."""
    options: dict[str, Any] = _read(logger, "_wandb_init")
    return options


def take_wandb_artifacts(logger: Any) -> bool:
    """Keep a `WandbLogger` from sending checkpoints, and return whether it had been asked to send them."""
    asked = bool(_read(logger, "_log_model"))
    _write(logger, "_log_model", False)
    return asked


def finish_wandb_run(logger: Any) -> None:
    """End the run of a `WandbLogger`, if it has begun one."""
    run = _read(logger, "_experiment")
    if run is not None:
        run.finish()
        _write(logger, "_experiment", None)


def describe_workspace(workspace: Any) -> dict[str, Any]:
    """Return what `wandb_workspaces` would send to W&B for a workspace."""
    view = _read(workspace, "_to_model")()
    described: dict[str, Any] = view.model_dump(by_alias=True, exclude_none=True, mode="json")
    return described
