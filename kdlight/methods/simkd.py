"""SimKD: Chen, Mei, Zhang, Wang, Feng, Chen, "Knowledge Distillation with the Reused Teacher Classifier", CVPR 2022.

arXiv 2203.14001. Authors' code: github.com/DefangChen/SimKD.
"""

__all__ = ["SimKD"]

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlight.data.base.batch import Batch
from kdlight.errors import UserError
from kdlight.losses.parts.pooling import pool_to_smaller
from kdlight.losses.simkd import simkd_loss
from kdlight.methods.base.feature_distiller import FeatureDistiller, FeatureDistillerArgumentsWithoutCE
from kdlight.methods.base.stages import pair_stages
from kdlight.methods.base.teacher import Teacher
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.evaluating import evaluating
from kdlight.ranges import PositiveInt, Weight
from kdlight.streams import Stream, make_generator
from kdlight.unpack import Unpack


class ReusedClassifier(Classifier):
    """A backbone, a projector to the channels of the teacher's last map, and a copy of the teacher's classifier.

    The projector's input is the backbone's last map. If the backbone's last map is larger than the teacher's, it is
    first average-pooled to the size of the teacher's. The classifier is applied to the mean of the projected map over
    positions. The projected map is the last stage of this network, instead of the backbone's last stage. The backbone's
    own head is removed. The projector has a 1x1, a 3x3 and a 1x1 convolution, each followed by batch norm and ReLU. The
    weights of the copied classifier are buffers: they are saved in checkpoints but not trained.

    Args:
        backbone: The student. It becomes part of this network and is not copied.
        teacher: The network whose classifier is copied.
        student_map: The backbone's last map (batch, channels, height, width); only its shape is used.
        teacher_map: The teacher's last map; only its shape is used.
        factor: The projector's inner layers have the teacher map's number of channels, divided by this factor.
    """

    head_name = "classifier"

    def __init__(
        self,
        backbone: Classifier,
        teacher: Classifier,
        student_map: Tensor,
        teacher_map: Tensor,
        *,
        factor: int,
    ) -> None:
        super().__init__(teacher.num_classes, backbone.image_shape)
        backbone.set_submodule(backbone.head_name, nn.Identity())
        self.backbone = backbone
        self.stage_names = (*(f"backbone.{name}" for name in backbone.stage_names[:-1]), "projector")
        inputs, outputs = student_map.shape[1], teacher_map.shape[1]
        width = outputs // factor
        self.projector = nn.Sequential(
            *(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        )
        self.classifier = _copy_with_buffers(teacher.head)
        pooled, _ = pool_to_smaller(student_map, teacher_map)
        self.map_size = pooled.shape[2], pooled.shape[3]

    def activations(self, images: Tensor) -> Activations:
        """Run the backbone, the projector and the teacher's classifier."""
        computed = self.backbone.activations(images)
        last = get_last_map(computed)
        if last.shape[2:] != self.map_size:
            last = F.adaptive_avg_pool2d(last, self.map_size)
        projected = self.projector(last)
        embedding = projected.mean(dim=(2, 3))
        stages = (*computed.stages[:-1], projected)
        return Activations(self.classifier(embedding), embedding, stages, stem=computed.stem)


class SimKD(FeatureDistiller):
    """Give the student the teacher's classifier and match the last feature maps: ``mean (projector(s) - t)^2``.

    s and t are the last maps of student and teacher, after their ReLU; the larger map is average-pooled to the size of
    the smaller one. The student becomes a `ReusedClassifier`: validation, test, prediction and export use backbone,
    projector and the teacher's classifier.

    The loss may also have the cross-entropy and Hinton's term (the KL divergence from the teacher's softened
    probabilities). By default both have weight 0, so that labels are not used. In the authors' recipe, too, both have
    weight 0. The authors' code computes them from the student's own head, whose accuracy is never measured. Here the
    student has no head of its own, so both terms are computed from the reused classifier.

    Args:
        student: The network that is trained. Layers between its last map and its head, if there are any, are not used.
        teacher: The network that the student learns from. Its embedding must be its last map, averaged over positions.
        simkd_weight: Weight of the squared error.
        ce_weight: Weight of the cross-entropy with the labels.
        factor: The projector's inner layers have the teacher map's number of channels, divided by this factor.
        base: Passed on to `FeatureDistiller`: kd_weight, teacher_weights, optimizer, …

    Raises:
        UserError: If the input of the teacher's classifier is not the mean of the teacher's last map over positions.
    """

    reads = ("logits", "stages", "preactivations")

    compares_logits = True

    def __init__(
        self,
        student: Classifier,
        teacher: Teacher,
        *,
        simkd_weight: Weight = 1.0,
        ce_weight: Weight = 0.0,
        factor: PositiveInt = 2,
        **base: Unpack[FeatureDistillerArgumentsWithoutCE],
    ) -> None:
        super().__init__(student, teacher, ce_weight=ce_weight, **base)
        self.simkd_weight = simkd_weight
        pair_stages(self, [-1])  # refuses networks without feature maps
        noise = torch.randn(2, *student.image_shape, generator=make_generator(Stream.SHAPE_CHECK))
        of_teacher = _run_in_evaluation_mode(self.teacher.model, noise)
        teacher_map = get_last_map(of_teacher)
        mean = teacher_map.mean(dim=(2, 3))
        if mean.shape != of_teacher.embedding.shape or not torch.allclose(mean, of_teacher.embedding, rtol=1e-3):
            raise UserError(
                "SimKD: expected a teacher whose classifier is applied to the mean of its last map, got "
                f"{type(self.teacher.model).__name__}; choose a ResNet, a wrn or a vgg"
            )
        student_map = get_last_map(_run_in_evaluation_mode(student, noise))
        self.student = ReusedClassifier(student, self.teacher.model, student_map, teacher_map, factor=factor)

    def trainable_children(self, epoch: int) -> tuple[nn.Module, ...]:
        """Return the student.

        The override is there for DDP: because of it, `Learner.setup` tells DDP that some parameters may get no
        gradient. Those of layers between the student's last map and its removed head get none.
        """
        return (self.student,)

    def loss_terms(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the squared error, and the cross-entropy and Hinton's term if their weights are not 0."""
        terms = self.task_terms(student, teacher, batch) if self.ce_weight or self.kd_weight else {}
        loss = simkd_loss(*pool_to_smaller(student.stages[-1], get_last_map(teacher)))
        terms["simkd"] = self.simkd_weight * loss
        return terms


def get_last_map(computed: Activations) -> Tensor:
    """Return the last feature map after its ReLU, even if this ReLU comes after the last stage, as in wide ResNets."""
    return computed.stages[-1] if computed.preactivations is None else F.relu(computed.preactivations[-1])


def _run_in_evaluation_mode(model: Classifier, images: Tensor) -> Activations:
    with evaluating(model):
        return model.activations(images.to(next(model.parameters())))


def _copy_with_buffers(module: nn.Module) -> nn.Module:
    """Make a copy that computes the same function but has buffers in place of parameters."""
    copied = copy.deepcopy(module)
    for part in copied.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
    return copied.train()
