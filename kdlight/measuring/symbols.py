"""The symbols of what networks make of the probe images, batch by batch."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kdlight.data.base.batch import Batch
from kdlight.information.discretizer import Discretizer, Method, Symbols

#: Features by name, (batch, …) each, of a batch.
Features = Callable[[Batch], Mapping[str, Tensor]]


class Symboliser(NamedTuple):
    """How features become symbols."""

    method: Method
    clusters: int
    components: int
    seed: int

    def fitted(self, features: Features, batches: list[Batch]) -> dict[str, Discretizer]:
        """Discretizers by name, without those of features that are not finite.

        Of all names together the features of these batches are held in memory.
        """
        collected: dict[str, list[Tensor]] = {}
        for batch in batches:
            for name, values in features(batch).items():
                collected.setdefault(name, []).append(_on_cpu(values))
        target = torch.cat([batch.target for batch in batches]).numpy()
        fitted = {}
        for name in list(collected):
            rows = torch.cat(collected.pop(name))
            if rows.isfinite().all():
                fitted[name] = Discretizer(
                    self.method, clusters=self.clusters, components=self.components, seed=self.seed
                ).fit(rows.numpy(), target)
        return fitted

    @staticmethod
    def symbols(features: Features, batches: list[Batch], fitted: Mapping[str, Discretizer]) -> dict[str, Symbols]:
        """Symbols (samples,) by name, batch by batch, without those of features that are not finite."""
        collected: dict[str, list[Symbols]] = {name: [] for name in fitted}
        for batch in batches:
            for name, values in features(batch).items():
                rows = _on_cpu(values) if name in collected else None
                if rows is None or not rows.isfinite().all():
                    collected.pop(name, None)
                else:
                    collected[name].append(fitted[name].transform(rows.numpy()))
        return {name: np.concatenate(parts) for name, parts in collected.items()}


def kept_symbols(file: Path, compute: Callable[[], dict[str, Symbols]]) -> dict[str, Symbols]:
    """Symbols from the file; computed and kept there where it does not exist."""
    if file.is_file():
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    symbols = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.part")
    with draft.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **symbols)
    os.replace(draft, file)
    return symbols


def _on_cpu(features: Tensor) -> Tensor:
    return features.flatten(1).float().cpu()
