"""RID from several teachers, on constructed cases."""

import pytest
import torch
from torch import nn

from kdlight.caching.teacher_cache import TeacherCache
from kdlight.data.base.batch import Batch
from kdlight.measuring.comparison import Comparison
from kdlight.measuring.feature_pairs import FeaturePair
from kdlight.measuring.probe import Probe
from kdlight.measuring.repeated_discretizer import RepeatedDiscretizer
from kdlight.methods.rid import RID
from kdlight.methods.ted import TED
from kdlight.methods.vid import VID
from kdlight.models.activations import Activations
from kdlight.models.classifier import Classifier
from kdlight.models.ensemble import Ensemble
from kdlight.models.frozen import Frozen
from kdlight.models.zoo.resnet import resnet8, resnet14
from tests.methods.conftest import arguments, digits, trainer

SHAPE = (1, 8, 8)


class Channel(Classifier):
    """A teacher that knows one channel of the image and nothing else, as maps of some width and size."""

    stage_names = ()

    def __init__(self, channel: int, width: int, size: int) -> None:
        super().__init__(4, (2, 8, 8))
        self.channel, self.width = channel, width
        self.pool = nn.AdaptiveAvgPool2d(size)
        self.unused = nn.Parameter(torch.zeros(1))

    def activations(self, images):
        a_map = self.pool(images[:, self.channel : self.channel + 1]).repeat(1, self.width, 1, 1)
        return Activations(images.new_zeros(len(images), 4), a_map.mean((2, 3)), (a_map,))


def draw_two_bits(samples):
    """Images whose two channels each carry one bit of the label, under noise."""
    bits = torch.randint(2, (samples, 2))
    images = (2.0 * bits - 1)[:, :, None, None] + 0.5 * torch.randn(samples, 2, 8, 8)
    return Batch(images, 2 * bits[:, 0] + bits[:, 1], torch.arange(samples), {})


def train_filters(teacher):
    """The accuracy of the heads on fresh samples, after a warm-up on others."""
    torch.manual_seed(0)
    model = RID(resnet8(4, (2, 8, 8)), Frozen(teacher), lambda2=1.0, stages=[-1])
    children = model.trainable_children(0)
    optimizer = torch.optim.Adam([weight for child in children for weight in child.parameters()], lr=0.01)
    for _ in range(60):
        batch = draw_two_bits(64)
        optimizer.zero_grad()
        sum(model.batch_terms(batch).values()).backward()
        optimizer.step()
    batch = draw_two_bits(1000)
    student, of_teacher = model.student.activations(batch.images), model.teacher.activations(batch.images)
    predicted = model.teacher_heads[0](model.eval().filter_teacher(0, student, of_teacher)).argmax(1)
    return (predicted == batch.target).double().mean().item()


def test_the_filter_learns_the_bits_of_all_teachers_and_of_one_alone_only_its_own():
    first, second = Channel(0, width=3, size=8), Channel(1, width=5, size=4)
    assert train_filters(Ensemble([first, second])) > 0.99
    assert train_filters(first) == pytest.approx(0.5, abs=0.06)
    assert train_filters(Ensemble([second, second])) == pytest.approx(0.5, abs=0.06)


def test_the_pid_is_that_of_the_joint_teacher():
    """Two teachers can still give the second bit to a student that knows the first; the first teacher alone cannot."""
    torch.manual_seed(0)
    first, second = Channel(0, width=3, size=8), Channel(1, width=5, size=4)
    probe = Probe([draw_two_bits(500)], [draw_two_bits(2000)])
    for teacher, left in ((Ensemble([first, second]), 1.0), (first, 0.0)):
        measured = Comparison(Frozen(teacher), probe, RepeatedDiscretizer(clusters=4), [FeaturePair("stage1", 0, 0)])
        pid = measured.measure(Frozen(first)).stages["stage1"].pid
        assert pid.information_first.value == pytest.approx(1 + left, abs=0.05)
        assert pid.redundant.value == pytest.approx(1.0, abs=0.05)
        assert pid.unique_first.value == pytest.approx(left, abs=0.05)


def compute_step(method, wrap, epoch, monkeypatch):
    """The terms and all gradients of a step with the same teacher, alone or as an ensemble of one."""
    torch.manual_seed(0)
    teacher, student = resnet14(10, SHAPE), resnet8(10, SHAPE)
    model = method(student, Frozen(wrap(teacher)), kd_weight=0.5, **arguments(method))
    monkeypatch.setattr(method, "current_epoch", epoch)
    batch = Batch(torch.randn(8, *SHAPE), torch.randint(10, (8,)), torch.arange(8), {})
    terms = model.batch_terms(batch)
    sum(terms.values()).backward()
    return terms, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("method", [RID, TED, VID], ids=lambda method: method.__name__)
@pytest.mark.parametrize("epoch", [0, 1, 2])  # each phase
def test_an_ensemble_of_one_teaches_what_its_member_does(method, epoch, monkeypatch):
    terms, gradients = compute_step(method, lambda teacher: teacher, epoch, monkeypatch)
    same_terms, same_gradients = compute_step(method, lambda teacher: Ensemble([teacher]), epoch, monkeypatch)
    assert terms.keys() == same_terms.keys()
    assert all(torch.equal(terms[name], same_terms[name]) for name in terms)
    assert gradients.keys() == same_gradients.keys()
    assert all(torch.equal(gradients[name], same_gradients[name]) for name in gradients)


def test_hintons_term_beside_has_the_members_mean_at_its_temperature():
    torch.manual_seed(0)
    members = [resnet8(10, SHAPE), resnet14(10, SHAPE)]
    for member in members:
        nn.init.normal_(member.head.weight)
    model = VID(resnet8(10, SHAPE), Frozen(Ensemble(members)), kd_weight=1.0, temperature=3.0)
    batch = Batch(torch.randn(8, *SHAPE), torch.randint(10, (8,)), torch.arange(8), {})
    found = model.batch_terms(batch)["kd"]
    target = sum((Frozen(member).activations(batch.images).logits / 3).softmax(1) for member in members) / 2
    ours = (model.student(batch.images) / 3).log_softmax(1)
    torch.testing.assert_close(found, 9 * (target * (target.log() - ours)).sum(1).mean())


def test_a_cache_replays_an_ensemble(tmp_path):
    def train(cache):
        torch.manual_seed(0)
        teacher = Frozen(Ensemble([resnet8(10, SHAPE), resnet14(10, SHAPE)]))
        model = RID(resnet8(10, SHAPE), teacher, teacher_cache=cache, **arguments(RID))
        trainer(tmp_path, 3).fit(model, datamodule=digits(seed=0))
        return model.state_dict()

    plain, cached = train(None), train(TeacherCache(str(tmp_path / "cache"), precision="float32"))
    for name, expected in plain.items():
        torch.testing.assert_close(cached[name], expected, rtol=1e-3, atol=1e-4)
