"""The memory of the method CRD: embeddings of all training samples, with which the samples of a batch are contrasted.

Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018
(arXiv 1805.01978), as Tian et al. use it in CRD.
"""

import math

import torch
import torch.distributed
from torch import Tensor, nn

from kdlight.errors import UserError
from kdlight.losses.crd import crd_log_normalizer, crd_memory_rows, crd_similarities
from kdlight.processes import gather_tensor
from kdlight.streams import Stream, make_generator

# For each sample of a batch, negatives are drawn from the n samples of other classes, and n depends on the sample's
# class. torch.randint takes only one bound for a whole tensor. So numbers below LARGE are drawn and taken modulo n.
# Some results are then more probable than others, but only by a factor of about 1 + n / 2**62.
LARGE = 2**62


class ContrastiveMemory(nn.Module):
    """Stores for each network the embeddings of all training samples, one per row.

    Before training, `allocate` makes the rows and `group_by_class` stores the classes. In training, negatives are drawn
    and rows are updated on the device. Every process of a distributed run has all rows. Each row has the same values in
    every process, without a broadcast, because the initial rows depend only on the run's seed and `update` gathers the
    batches of all processes.

    A checkpoint contains the buffers `student` and `teacher` (samples, dim), and `log_normalizer` (2,). The buffer
    `log_normalizer` holds two values of log Z (see `crd_log_normalizer`): the first for the student's embeddings, the
    second for the teacher's. The scores that `crd_loss` takes are the similarities minus log Z. log Z is NaN until the
    first batch determines it; from then on it is constant. In a distributed run, DDP sends the first process's log Z to
    the others.

    Args:
        dim: Size of an embedding.
        negatives: K, the number of negatives drawn for each sample of a batch.
        temperature: tau, by which the inner products of embeddings are divided.
        momentum: Fraction of the old row that remains in an update.
    """

    student: Tensor
    teacher: Tensor
    log_normalizer: Tensor
    by_class: Tensor
    class_start: Tensor
    class_size: Tensor

    def __init__(self, dim: int, *, negatives: int, temperature: float, momentum: float) -> None:
        super().__init__()
        self.negatives = negatives
        self.temperature = temperature
        self.momentum = momentum
        self.register_buffer("student", torch.empty(0, dim))
        self.register_buffer("teacher", torch.empty(0, dim))
        self.register_buffer("log_normalizer", torch.full((2,), torch.nan))
        for name in ("by_class", "class_start", "class_size"):
            self.register_buffer(name, torch.empty(0, dtype=torch.long), persistent=False)

    @property
    def samples(self) -> int:
        """The number of rows, 0 before `allocate` has made them."""
        return len(self.student)

    def allocate(self, samples: int, *, seed: int = 0) -> None:
        """Make `samples` random rows for each network, unless the memory already has that many.

        The elements are drawn uniformly from an interval around 0. The interval is so long that the squared norm of a
        row is 1 on average.
        """
        if self.samples == samples:
            return
        bound, generator = math.sqrt(3 / self.student.shape[1]), make_generator(Stream.CONTRASTIVE_MEMORY, seed)
        for name in ("student", "teacher"):
            rows = torch.empty(samples, self.student.shape[1]).uniform_(-bound, bound, generator=generator)
            setattr(self, name, rows.to(self.get_buffer(name)))

    def group_by_class(self, target: Tensor) -> None:
        """Store the classes of the training samples, for `draw_candidates`. Unlabelled samples form one more class.

        Args:
            target: (samples,).

        Raises:
            UserError: If there is only one class.
        """
        classes, place, sizes = target.unique(return_inverse=True, return_counts=True)
        if len(classes) < 2:
            raise UserError(
                "negatives are samples of other classes: expected training samples of at least two classes, got one"
            )
        starts = sizes.cumsum(0) - sizes
        device = self.student.device
        self.by_class = target.argsort().to(device)
        self.class_start, self.class_size = starts[place].to(device), sizes[place].to(device)

    def draw_candidates(self, index: Tensor) -> Tensor:
        """Draw for each sample its negatives: samples of other classes, drawn uniformly with replacement.

        Args:
            index: (batch,), places in the training set.

        Returns:
            (batch, 1 + negatives), places in the training set: first the sample's own, then those of its negatives.
        """
        start, size = self.class_start[index, None], self.class_size[index, None]
        # `by_class` lists the samples class by class. The sample's own class takes up `size` places of this list, the
        # first of which is `start`. To skip this class, a drawn place that is not below start is increased by size.
        place = torch.randint(LARGE, (len(index), self.negatives), device=index.device) % (self.samples - size)
        place += size * (place >= start)
        return torch.cat([index[:, None], self.by_class[place]], 1)

    def forward(self, student: Tensor, teacher: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Score the student's embeddings against the teacher's rows, and the teacher's against the student's rows.

        Args:
            student: (batch, dim), unit norm.
            teacher: (batch, dim), unit norm.
            candidates: (batch, 1 + negatives), from `draw_candidates`.

        Returns:
            The student's and the teacher's scores, each (batch, 1 + negatives), for `crd_loss`.
        """
        of_student = self._score(student, self.teacher, candidates, self.log_normalizer[0])
        return of_student, self._score(teacher, self.student, candidates, self.log_normalizer[1])

    def _score(self, embedding: Tensor, rows: Tensor, candidates: Tensor, log_normalizer: Tensor) -> Tensor:
        # Multiplying with the whole memory and picking the candidates' products is an order of magnitude cheaper than
        # picking (batch, negatives, dim) rows first. The rows are cloned because `update` changes the memory before the
        # backward pass, which needs the old rows.
        similarities = crd_similarities(embedding, rows.clone(), temperature=self.temperature).gather(1, candidates)
        first = crd_log_normalizer(similarities, samples=self.samples)
        log_normalizer.copy_(torch.where(log_normalizer.isnan(), first, log_normalizer))
        return similarities - log_normalizer

    @torch.no_grad()
    def update(self, index: Tensor, student: Tensor, teacher: Tensor) -> None:
        """Gather this step's samples from all processes, and move their rows towards their new embeddings.

        Args:
            index: (batch,), places in the training set.
            student: (batch, dim), unit norm.
            teacher: (batch, dim), unit norm.
        """
        index = gather_tensor(index)
        for rows, embedding in ((self.student, student), (self.teacher, teacher)):
            moved = crd_memory_rows(rows[index], gather_tensor(embedding), momentum=self.momentum)
            rows.index_copy_(0, index, moved.to(rows.dtype))
