"""CRD: Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020 (arXiv 1910.10699).

Authors' code: github.com/HobbitLong/RepDistiller.
"""

__all__ = ["CRD"]

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from kdlight.data.base.batch import Batch
from kdlight.data.base.trainer_data import require_image_data
from kdlight.errors import UserError
from kdlight.internals import ignore_under_ddp
from kdlight.losses.crd import crd_loss
from kdlight.methods.base.contrastive_memory import ContrastiveMemory
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArguments
from kdlight.methods.base.stages import run_both_on_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.processes import read_run_seed
from kdlight.ranges import Fraction, PositiveFloat, PositiveInt, Weight
from kdlight.unpack import Unpack


class CRD(FeatureDistiller):
    """Make the two networks' embeddings similar for the same sample, and dissimilar for samples of different classes.

    The loss is ``CE + crd_weight * (L_s + L_t)``, where L_s and L_t are noise-contrastive losses (equation 18 of the
    paper). L_s compares the student's embedding with a memory of the teacher's embeddings. L_t compares the teacher's
    embedding with a memory of the student's embeddings. Each embedding is the normalised output of a trained linear
    layer.

    As in the authors' code (mode "exact"), the K negatives of a sample are drawn uniformly from the N samples of other
    classes. The authors' data loader draws K different negatives for each sample. This method draws the negatives of
    the whole batch at once on the device, with replacement, as the paper's derivation assumes. The expected gradient is
    the same as with K different negatives. The variance that the random choice of negatives adds to the gradient is
    larger than with K different negatives, by the factor (N - 1) / (N - K) for K < N. With replacement, K may also
    exceed N.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from.
        crd_weight: Weight of the sum of the two contrastive losses.
        dim: Size of the embeddings.
        negatives: K, the number of negatives of each sample.
        crd_temperature: tau, by which the inner products of embeddings are divided.
        momentum: Fraction of the old row that remains when a row of the memory is updated.
        base: Passed on to `FeatureDistiller`: ce_weight, kd_weight, teacher_weights, optimizer, …
    """

    reads = ("logits", "embedding")

    distils = "relations of samples"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        crd_weight: Weight = 0.8,
        dim: PositiveInt = 128,
        negatives: PositiveInt = 16384,
        crd_temperature: PositiveFloat = 0.07,
        momentum: Fraction = 0.5,
        **base: Unpack[FeatureDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.crd_weight = crd_weight
        of_student, of_teacher = run_both_on_blank_images(self)
        self.student_embedding = nn.Linear(of_student.embedding.shape[1], dim)
        self.teacher_embedding = nn.Linear(of_teacher.embedding.shape[1], dim)
        self.memory = ContrastiveMemory(dim, negatives=negatives, temperature=crd_temperature, momentum=momentum)

    def setup(self, stage: str) -> None:
        """Make the memory of the training set if the method is going to be trained.

        Raises:
            UserError: If the data are not a kdlight data module, or have only one class.
        """
        super().setup(stage)
        if stage != "fit":
            return
        data = require_image_data(self.trainer, "CRD remembers every training sample by its index")
        self.memory.allocate(data.train_size, seed=read_run_seed())
        self.memory.group_by_class(data.get_split("train").target)
        # All processes compute the same memory, so DDP need not send it. To send it would take most of a step's time.
        ignored = ("student", "teacher", "by_class", "class_start", "class_size")
        ignore_under_ddp(self, [f"memory.{name}" for name in ignored])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Allocate a memory with as many rows as the checkpoint's memory has.

        Raises:
            UserError: If the run is continued with another number of training samples, or with another teacher.
        """
        super().on_load_checkpoint(checkpoint)
        samples = len(checkpoint["state_dict"].get("memory.student", ()))
        if self.memory.samples not in (0, samples):
            raise UserError(
                f"the checkpoint remembers {samples} training samples, but the data have {self.memory.samples}; give "
                "the val_size and train_per_class of the checkpoint's run"
            )
        self.memory.allocate(samples)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of `task_terms` and the contrastive loss; update the memory after computing this loss."""
        terms = self.task_terms(student, teacher, batch)
        of_student = normalize(self.student_embedding(student.embedding))
        of_teacher = normalize(self.teacher_embedding(teacher.embedding))
        scores = self.memory(of_student, of_teacher, self.memory.draw_candidates(batch.index))
        terms["crd"] = self.crd_weight * crd_loss(*scores, samples=self.memory.samples)
        self.memory.update(batch.index, of_student, of_teacher)
        return terms
