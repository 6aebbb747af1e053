"""Values at their limits that a learner meets before its first step."""

from types import SimpleNamespace

import pytest
import torch

from kdlight.errors import UserError
from kdlight.methods import RID, Supervised
from kdlight.methods.base.learning_checks import require_matching_data, require_terms
from kdlight.models import resnet8
from kdlight.models.frozen import Frozen


def network():
    return resnet8(num_classes=10, image_shape=(1, 8, 8))


def test_setting_up_looks_for_the_first_epoch_in_which_the_student_learns(monkeypatch):
    # The filters learn alone for three epochs of warm-up and the first of the four of a cycle.
    learner = RID(network(), Frozen(network()), lambda2=1.0, warmup_epochs=3, cycle_epochs=4)
    learner._trainer = SimpleNamespace(max_epochs=10**20, strategy=SimpleNamespace())
    asked, decide = [], learner.trainable_children
    monkeypatch.setattr(learner, "trainable_children", lambda epoch: asked.append(epoch) or decide(epoch))
    learner.setup("fit")
    assert asked == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("made", "options"),
    [
        (torch.optim.SGD, {"lr": -1}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": -1}),
        (torch.optim.Adam, {"lr": 0.1, "betas": (2.0, 0.9)}),
    ],
)
def test_torch_s_own_errors_of_an_optimizer_are_the_user_s(made, options):
    learner = Supervised(network(), optimizer=lambda parameters: made(parameters, **options))
    with pytest.raises(UserError, match=r"model\.optimizer: Invalid"):
        learner.configure_optimizers()


@pytest.mark.parametrize(
    ("terms", "answer"),
    [
        (
            torch.zeros(()),
            r"Supervised: expected the loss terms as a dict of scalar tensors, got a tensor of shape \(\)",
        ),
        ({"ce": torch.zeros(3)}, r"the loss term 'ce' to be a scalar tensor, got a tensor of shape \(3,\)"),
        ({"ce": 1.0}, r"Supervised: expected the loss term 'ce' to be a scalar tensor, got float"),
        ({}, r"Supervised: expected one or more loss terms with names of their own, got none"),
        ({"loss": torch.zeros(())}, r"with names of their own, got one with the name 'loss'"),
    ],
)
def test_terms_of_another_form_are_refused(terms, answer):
    with pytest.raises(UserError, match=answer):
        require_terms(Supervised(network()), terms)
    require_terms(Supervised(network()), {"ce": torch.zeros(())})


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (torch.nn.Linear(2, 2), r"expected a network of kdlight.models .* got Linear; wrap it: kdlight.models.Tapped"),
        ("resnet20", r"expected a network of kdlight.models \(a Classifier\), got 'resnet20'$"),
    ],
)
def test_a_network_of_another_kind_is_refused(network, said):
    with pytest.raises(UserError, match=f"student: {said}"):
        Supervised(network)
    with pytest.raises(UserError, match=f"teacher: {said}"):
        Supervised(resnet8(10, (1, 8, 8)), network, untrained_teacher=True)


def test_a_student_for_other_images_or_more_classes_is_warned_of(tmp_path):
    made = Supervised(resnet8(12, (1, 16, 16)))
    made.trainer = SimpleNamespace(datamodule=SimpleNamespace(num_classes=10, image_shape=(1, 8, 8)))
    with (
        pytest.warns(UserWarning, match=r"built for images of the shape \(1, 16, 16\), but .* the shape \(1, 8, 8\)"),
        pytest.warns(UserWarning, match=r"num_classes is 12, but the data have only 10 classes"),
    ):
        require_matching_data(made)
