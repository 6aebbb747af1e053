import pytest
import torch

from kdlight.data.base.batch import Batch
from kdlight.losses.reviewkd import hcl_loss
from kdlight.methods.reviewkd import KnowledgeReview, ReviewKD
from kdlight.models.zoo.mobilenet_v2 import MobileNetV2
from kdlight.models.zoo.resnet import resnet8
from kdlight.models.zoo.shufflenet_v1 import ShuffleV1
from tests.methods.conftest import build

SHAPE = (1, 8, 8)
BATCH = Batch(torch.randn(8, *SHAPE), torch.arange(8), torch.arange(8))


def test_oracle_of_fusion_and_loss(oracle, inputs):
    review = KnowledgeReview([16, 16, 12, 8], [32, 32, 24, 16]).double()
    unfilled = review.load_state_dict(oracle.fill("reviewkd_abf_hcl"), strict=False)
    assert not unfilled.unexpected_keys
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in unfilled.missing_keys)
    of_student, of_teacher = (
        [pooled[:, :, None, None], *reversed(maps)]
        for pooled, maps in (
            (inputs.student_pooled, inputs.student_feats),
            (inputs.teacher_pooled, inputs.teacher_feats),
        )
    )
    losses = [hcl_loss(*level) for level in zip(review(of_student, of_teacher), of_teacher, strict=True)]
    shallow_first = oracle.cases["reviewkd_abf_hcl"]["per_level"]
    assert [loss.item() for loss in reversed(losses)] == pytest.approx(shallow_first, rel=1e-9)
    oracle.check("reviewkd_abf_hcl", sum(losses), *inputs.student_feats, inputs.student_pooled)


def test_levels_go_from_the_embedding_to_the_first_stage():
    """The student's maps after their ReLU, the teacher's before it and twice as large."""
    student, teacher = ShuffleV1(10, SHAPE), resnet8(10, SHAPE)
    model = ReviewKD(student, teacher, untrained_teacher=True, warmup_epochs=0)
    of_student, of_teacher = student.activations(BATCH.images), model.teacher.activations(BATCH.images)
    terms = model.loss_terms(of_student, of_teacher, BATCH)
    below = [of_student.embedding[:, :, None, None], *reversed(of_student.stages)]
    targets = [of_teacher.embedding[:, :, None, None], *reversed(of_teacher.preactivations)]
    assert [level.shape[2] for level in below] == [1, 1, 2, 4]
    assert [level.shape[2] for level in targets] == [1, 2, 4, 8]
    fused = model.review(below, targets)
    for name, out, target in zip(("embedding", "stage3", "stage2", "stage1"), fused, targets, strict=True):
        assert terms[f"reviewkd_{name}"].item() == pytest.approx(5 * hcl_loss(out, target).item(), rel=1e-5)
    assert model.review.abf[0].conv1[0].out_channels == 512


def test_convolutions_are_drawn_uniformly_over_the_fan_in():
    for fusion in KnowledgeReview([64, 64], [32, 16]).abf:
        for convolution in (fusion.conv1[0], fusion.conv2[0]):
            bound = (3 / convolution.weight[0].numel()) ** 0.5
            assert 0.95 * bound < convolution.weight.abs().max() <= bound


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.25), (1, 0.5), (3, 1), (9, 1)])
def test_warm_up_counts_from_one(epoch, share, monkeypatch):
    model, steady = build(ReviewKD, warmup_epochs=4), build(ReviewKD, warmup_epochs=0)
    monkeypatch.setattr(ReviewKD, "current_epoch", epoch)
    computed = model.student.activations(BATCH.images)
    term, full = (made.loss_terms(computed, computed, BATCH)["reviewkd_stage1"].item() for made in (model, steady))
    assert term == pytest.approx(share * full)


def test_a_teacher_without_preactivations_is_refused():
    with pytest.raises(ValueError, match="expected a teacher that shows its feature maps before the ReLU"):
        ReviewKD(resnet8(10, SHAPE), MobileNetV2(10, SHAPE), untrained_teacher=True)
