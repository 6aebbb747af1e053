"""Further measures on the test set: per-class accuracy, calibration, agreement with the teacher, size of the networks.

Calibration: C. Guo et al., "On Calibration of Modern Neural Networks", 2017, https://arxiv.org/abs/1706.04599.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from torchmetrics import KLDivergence, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix

from kdlight.data.base.batch import Batch
from kdlight.methods.base.labels import UNLABELLED, replace_empty_batch
from kdlight.methods.base.learner import Learner
from kdlight.models.classifier import Classifier
from kdlight.models.evaluating import evaluating
from kdlight.models.frozen import Frozen

BINS = 15
TOP = 5


class ClassificationMeasures(Callback):
    """Measures student and teacher on the test set.

    The learner itself logs accuracy and loss. This callback also logs the following values, with the prefix ``test/``:
    ``top5_accuracy`` (if there are more than five classes) and ``calibration_error`` (the expected calibration error in
    15 bins). Two more are logged if the teacher has as many classes as the student: ``agreement`` (the fraction of
    images for which both predict the same class) and ``kl_divergence`` (the mean of KL(teacher || student) over the
    images, in nats, at temperature 1). Lists of values, and measures of the teacher alone, are written to
    ``result.json``: see `collect_result`.
    """

    def __init__(self) -> None:
        self._networks: dict[str, dict[str, int]] = {}
        self._class_names: list[str] = []
        self._accuracies: dict[str, list[float | None]] = {}
        self._confusions: dict[str, list[list[int]]] = {}
        self._teacher_test: dict[str, float] = {}
        self._comparable: Frozen | None = None  # the teacher, if it has as many classes as the student
        self._of_student = self._of_teacher = self._of_both = MetricCollection({})

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Count parameters and operations now, because FSDP shards the networks' parameters after this hook."""
        assert isinstance(pl_module, Learner)
        if not self._networks:
            self._networks["student"] = measure_size(pl_module.student)
            teacher = _find_teacher(pl_module)
            if teacher is not None:
                self._networks["teacher"] = measure_size(teacher.model)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Create the metrics that are updated with every batch."""
        assert isinstance(pl_module, Learner)
        teacher, classes = _find_teacher(pl_module), pl_module.student.num_classes
        self._of_student = _make_counters(classes).to(pl_module.device)
        self._comparable = teacher if teacher is not None and teacher.num_classes == classes else None
        if self._comparable is not None:
            self._comparable.convert(lambda tensor: tensor.to(pl_module.device))  # FSDP does not move the teacher
            self._of_teacher = _make_counters(classes).to(pl_module.device)
            both: dict[str, Metric | MetricCollection] = {
                "agreement": _make_accuracy(classes, top=1),
                "kl_divergence": KLDivergence(log_prob=True),
            }
            self._of_both = MetricCollection(both, compute_groups=False).to(pl_module.device)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Update the metrics with a batch. If the teacher is measured, too, the teacher is run on the batch here."""
        assert isinstance(pl_module, Learner)
        present, batch = len(batch.images), replace_empty_batch(batch)
        logits: Tensor = outputs.float()
        self._of_student.update(logits.softmax(1), batch.target)
        if self._comparable is None:
            return
        of_teacher = self._comparable.activations(
            pl_module.to_network_format(batch).images, inference=True
        ).logits.float()
        self._of_teacher.update(of_teacher.softmax(1), batch.target)
        named = of_teacher.argmax(1) if present else batch.target
        self._of_both["agreement"].update(logits, named)
        self._of_both["kl_divergence"].update(of_teacher[:present].log_softmax(1), logits[:present].log_softmax(1))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the single values and store the lists. Both are computed over the images of all processes."""
        assert isinstance(pl_module, Learner)
        name = Path(trainer.ckpt_path).stem if trainer.ckpt_path else "student"
        scalars = self._summarise(name, self._of_student)
        if self._comparable is not None:
            scalars |= _to_floats(self._of_both.compute())
            self._teacher_test = self._summarise("teacher", self._of_teacher, accuracy=True)
        for key, value in scalars.items():
            pl_module.log(f"test/{key}", value, sync_dist=True)
        names = getattr(getattr(trainer, "datamodule", None), "class_names", range(pl_module.student.num_classes))
        self._class_names = [str(each) for each in names]

    def _summarise(self, name: str, counters: MetricCollection, *, accuracy: bool = False) -> dict[str, float]:
        found = counters.compute()
        confusion: Tensor = found.pop("confusion").cpu()
        right, images = confusion.diagonal().tolist(), confusion.sum(1).tolist()
        self._confusions[name] = confusion.tolist()
        self._accuracies[name] = [each / of if of else None for each, of in zip(right, images, strict=True)]
        overall = {"accuracy": sum(right) / max(sum(images), 1)} if accuracy else {}
        return {**overall, **_to_floats(found)}

    def collect_result(self) -> Mapping[str, Any]:
        """Return what is written to ``result.json`` in addition to the logged numbers.

        Returns:
            ``networks``: for "student" and "teacher", the number of ``parameters`` and the ``flops`` for one image. A
            multiply-add counts as two operations. After a test also:

            - ``teacher_test``: the teacher's accuracy, top-5 accuracy and calibration error.
            - ``class_names``: the names of the classes in the order of their indices.
            - ``class_accuracy``: the accuracy of each class; null for a class without images.
            - ``confusion``: the confusion matrix, in which rows are true classes and columns are predicted classes.

            ``class_accuracy`` and ``confusion`` have one entry for each tested checkpoint ("last", "best"), and one for
            "teacher". ``teacher_test`` and these entries for "teacher" are left out if there is no teacher with as many
            classes as the student.
        """
        networks = {"networks": self._networks}
        if not self._confusions:
            return networks
        teacher = {"teacher_test": self._teacher_test} if self._teacher_test else {}
        lists = {"class_accuracy": self._accuracies, "confusion": self._confusions}
        return {**networks, **teacher, "class_names": self._class_names, **lists}


def measure_size(network: Classifier) -> dict[str, int]:
    """Count the parameters, and the floating point operations for one image of the network's own ``image_shape``."""
    like = next(network.parameters(), torch.empty(0))
    image = torch.zeros(1, *network.image_shape, device=like.device, dtype=like.dtype)
    with evaluating(network), FlopCounterMode(display=False) as counter:
        network(image)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"parameters": parameters, "flops": int(counter.get_total_flops())}


def _find_teacher(learner: Learner) -> Frozen | None:
    teacher = getattr(learner, "teacher", None)
    return teacher if isinstance(teacher, Frozen) else None


def _make_accuracy(classes: int, top: int) -> MulticlassAccuracy:
    return MulticlassAccuracy(classes, top_k=top, average="micro", ignore_index=UNLABELLED, validate_args=False)


def _make_counters(classes: int) -> MetricCollection:
    counters: dict[str, Metric | MetricCollection] = {
        "confusion": MulticlassConfusionMatrix(classes, ignore_index=UNLABELLED, validate_args=False),
        "calibration_error": MulticlassCalibrationError(
            classes, n_bins=BINS, ignore_index=UNLABELLED, validate_args=False
        ),
    }
    if classes > TOP:
        counters["top5_accuracy"] = _make_accuracy(classes, TOP)
    return MetricCollection(counters, compute_groups=False)


def _to_floats(computed: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in computed.items()}
