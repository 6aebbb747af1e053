"""FSP: flow of the solution procedure.

Yim, Joo, Bae, Kim, "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer Learning",
CVPR 2017 (openaccess.thecvf.com). Code followed: github.com/HobbitLong/RepDistiller.
"""

__all__ = ["FSP"]

from itertools import pairwise

from torch import Tensor

from kdlight.errors import UserError
from kdlight.losses.fsp import fsp_loss, fsp_matrix
from kdlight.methods.base.stages import run_both_on_blank_images
from kdlight.methods.base.teacher import Teacher
from kdlight.methods.base.two_phase_distiller import TwoPhaseDistiller, TwoPhaseDistillerArguments
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.ranges import Weight
from kdlight.unpack import Unpack


class FSP(TwoPhaseDistiller):
    """Imitate how the teacher's features change from stage to stage, then learn the labels.

    The first phase (`init_epochs`) minimises ``fsp_weight * sum over neighbouring stages of mean (G_s - G_t)^2``. The
    matrix G_s of the student holds the products of every channel of a stage with every channel of the next stage,
    averaged over the positions. G_t is this matrix for the teacher. The stem (the layers before the first stage) counts
    as a stage, too. The second phase minimises the cross-entropy with the labels.

    Args:
        student: The network that is trained.
        teacher: The network that the student learns from. Its stages must have as many channels as the student's.
        fsp_weight: Weight of the squared differences.
        base: Passed on to `TwoPhaseDistiller`: init_epochs, kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If the networks' stages have different numbers of channels, or a network does not return the output
            of its stem.
    """

    reads = ("logits", "stem", "stages")

    distils = "relations of stages"

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        fsp_weight: Weight = 1.0,
        **base: Unpack[TwoPhaseDistillerArguments],
    ) -> None:
        super().__init__(student, teacher, **base)
        self.fsp_weight = fsp_weight
        of_student, of_teacher = (
            [feature.shape[1] for feature in _collect_maps(computed)] for computed in run_both_on_blank_images(self)
        )
        if of_student != of_teacher:
            raise UserError(
                "FSP needs stages with the same numbers of channels in both networks: the student's numbers are "
                f"{of_student}, the teacher's are {of_teacher}; choose a pair of one family and width, such as "
                "resnet56 and resnet20"
            )

    def init_terms(self, student: Activations, teacher: Activations) -> dict[str, Tensor]:
        """Return one term for each stage. It compares the stage's FSP matrices in student and teacher.

        A stage's FSP matrix is computed from the stage before and the stage itself. The stem comes before stage 1.
        """
        flows = zip(pairwise(_collect_maps(student)), pairwise(_collect_maps(teacher)), strict=True)
        return {
            f"fsp_stage{stage}": self.fsp_weight * fsp_loss(fsp_matrix(*of_student), fsp_matrix(*of_teacher))
            for stage, (of_student, of_teacher) in enumerate(flows, start=1)
        }


def _collect_maps(computed: Activations) -> tuple[Tensor, ...]:
    if computed.stem is None:
        raise UserError(
            "FSP needs the feature map of the stem (the layers before the first stage), but one of the networks does "
            "not return it; choose another network, or wrap the network in kdlight.models.Tapped with the argument stem"
        )
    return computed.stem, *computed.stages
