"""``kdlight cache``: make the teacher cache of a configuration ahead of the runs that replay it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer

from kdlight.caching.store import DESCRIPTION
from kdlight.cli.messages import quiet
from kdlight.cli.run import KdlightCLI
from kdlight.errors import UserError
from kdlight.methods.base.distiller import Distiller
from kdlight.methods.base.learner import Learner


class CacheCLI(KdlightCLI):
    """A fit of no step: it sets up teacher, data and devices as the run will, opens the cache, and leaves no run."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer without instruments and steps."""
        options = self._get(self.config_init, "trainer").as_dict()
        shown = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        bare = {
            **dict.fromkeys(shown, False),
            "callbacks": [],
            "limit_train_batches": 0,
            "overfit_batches": 0,
            "fast_dev_run": False,
        }
        return Trainer(**{**options, **bare, **kwargs})

    def fit(self, model: Learner, datamodule: LightningDataModule, ckpt_path: str | None, weights_only: bool) -> None:
        """Make the cache where it is not there, check it where it is.

        Raises:
            UserError: If the method has no teacher, or the configuration names no cache.
        """
        cache = model.teacher_cache if isinstance(model, Distiller) else None
        if cache is None:
            raise UserError(
                f"kdlight cache: expected a method with a teacher and model.teacher_cache, got {type(model).__name__} "
                "without; add --model.teacher_cache.path FOLDER"
            )
        began, there = time.perf_counter(), (Path(cache.path).expanduser() / DESCRIPTION).is_file()
        self.trainer.fit(model, datamodule=datamodule)
        if self.trainer.is_global_zero:
            size = sum(file.stat().st_size for file in Path(cache.path).expanduser().iterdir())
            done = f"{'checked' if there else 'made'} in {time.perf_counter() - began:.1f} s"
            print(f"teacher cache {cache.path}: {size / 1e6:.1f} MB, {done}")


def main(arguments: Sequence[str]) -> None:
    """Make or check a cache."""
    quiet()
    CacheCLI(["fit", *arguments[1:]])
