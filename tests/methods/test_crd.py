import pytest
import torch
from torch.nn.functional import normalize

from kdlight.data.base.batch import Batch
from kdlight.losses.crd import crd_loss, crd_memory_rows
from kdlight.methods.base.labels import cross_entropy
from kdlight.methods.crd import CRD
from tests.methods.conftest import build, digits, trainer

SAMPLES, NEGATIVES = 50, 16


def test_the_term_is_the_loss_of_both_embeddings_and_the_memory_moves():
    model = build(CRD, kd_weight=1.0, negatives=NEGATIVES)
    model.memory.allocate(SAMPLES)
    model.memory.group_by_class(torch.arange(SAMPLES) % 10)
    batch = Batch(torch.randn(8, 1, 8, 8), torch.arange(8), torch.tensor([3, 7, 11, 19, 23, 31, 42, 49]))
    student, teacher = model.student.activations(batch.images), model.teacher.activations(batch.images)
    before = model.memory.student.clone()
    torch.manual_seed(1)
    terms = model.loss_terms(student, teacher, batch)
    assert tuple(terms) == ("cross_entropy", "kd", "crd")
    assert terms["cross_entropy"] == cross_entropy(student.logits, batch.target)
    of_student = normalize(model.student_embedding(student.embedding))
    of_teacher = normalize(model.teacher_embedding(teacher.embedding))
    moved = crd_memory_rows(before[batch.index], of_student, momentum=0.5)
    assert torch.allclose(model.memory.student[batch.index], moved)
    rest = [place for place in range(SAMPLES) if place not in batch.index]
    assert torch.equal(model.memory.student[rest], before[rest])
    fresh = build(CRD, negatives=NEGATIVES).memory
    fresh.allocate(SAMPLES)
    fresh.group_by_class(torch.arange(SAMPLES) % 10)
    torch.manual_seed(1)
    expected = 0.8 * crd_loss(*fresh(of_student, of_teacher, fresh.draw_candidates(batch.index)), samples=SAMPLES)
    assert terms["crd"].item() == pytest.approx(expected.item())


def test_checkpoint_is_tested_without_the_training_set(tmp_path):
    model = build(CRD, negatives=NEGATIVES)
    loop = trainer(tmp_path, 1)
    loop.fit(model, datamodule=digits())
    loop.save_checkpoint(tmp_path / "end.ckpt")
    data, tested = digits(), build(CRD, negatives=NEGATIVES)
    loop = trainer(tmp_path, 1)
    loop.test(tested, datamodule=data, ckpt_path=tmp_path / "end.ckpt", weights_only=True, verbose=False)
    with pytest.raises(ValueError, match="the train split is not there"):
        data.get_split("train")
    assert torch.equal(tested.memory.student, model.memory.student)
    assert torch.equal(tested.memory.log_normalizer, model.memory.log_normalizer)
    assert model.memory.samples == 200


def test_resuming_with_another_training_set_is_refused(tmp_path):
    loop = trainer(tmp_path, 1)
    loop.fit(build(CRD, negatives=NEGATIVES), datamodule=digits())
    loop.save_checkpoint(tmp_path / "end.ckpt")
    options = {"ckpt_path": tmp_path / "end.ckpt", "weights_only": True}
    with pytest.raises(ValueError, match="remembers 200 training samples, but the data have 210"):
        trainer(tmp_path, 2).fit(build(CRD), datamodule=_more_digits(), **options)


def test_data_without_indices_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a kdlight data module, got NoneType"):
        trainer(tmp_path, 1).fit(build(CRD), train_dataloaders=[1], val_dataloaders=[1])


def _more_digits():
    data = digits()
    data.train_per_class = 21
    return data
