from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlight.losses.crd import crd_log_normalizer, crd_loss, crd_memory_rows, crd_similarities

SAMPLES, TEMPERATURE = 50, 0.07


def memories(oracle) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sample index, candidate index, student's and teacher's memory of the CRD cases."""
    index = torch.tensor(oracle.cases["crd_no_embedding"]["sample_index"])
    negatives = torch.from_numpy(np.random.RandomState(2000).randint(0, SAMPLES, (8, 16)))
    rows = [(np.random.RandomState(s).random_sample((SAMPLES, 8)) * 2 - 1) / np.sqrt(8 / 3) for s in (1100, 1101)]
    return index, torch.cat([index[:, None], negatives], 1), *map(torch.from_numpy, rows)


def scores(embedding: Tensor, candidates: Tensor, log_normalizer: Tensor | None = None) -> tuple[Tensor, Tensor]:
    similarities = crd_similarities(embedding, candidates, temperature=TEMPERATURE)
    if log_normalizer is None:
        log_normalizer = crd_log_normalizer(similarities, samples=SAMPLES)
    return similarities - log_normalizer, log_normalizer


def test_oracle_of_two_steps(oracle, inputs: SimpleNamespace) -> None:
    case = oracle.cases["crd_no_embedding"]
    index, candidates, student_memory, teacher_memory = memories(oracle)
    student, teacher = (
        F.normalize(pooled[:, :8].detach()).requires_grad_()
        for pooled in (inputs.student_pooled, inputs.teacher_pooled)
    )
    student_scores, student_z = scores(student, teacher_memory[candidates])
    teacher_scores, teacher_z = scores(teacher, student_memory[candidates])
    assert [student_z.exp().item(), teacher_z.exp().item()] == pytest.approx([case["Z_v1"], case["Z_v2"]], rel=1e-9)
    oracle.check("crd_no_embedding", crd_loss(student_scores, teacher_scores, samples=SAMPLES), student, teacher)
    for name, embedding, memory in (("v1", student, student_memory), ("v2", teacher, teacher_memory)):
        memory[index] = crd_memory_rows(memory[index], embedding.detach(), momentum=0.5)
        after = case[f"memory_{name}_after"]
        assert memory[3].tolist() == pytest.approx(after["rows_3_and_49"][0], rel=1e-9)
        assert memory.norm().item() == pytest.approx(after["frobenius_norm"], rel=1e-9)
    student_scores, _ = scores(student, teacher_memory[candidates], student_z)
    teacher_scores, _ = scores(teacher, student_memory[candidates], teacher_z)
    value = crd_loss(student_scores, teacher_scores, samples=SAMPLES)
    assert value.item() == pytest.approx(case["second_call"]["value"], rel=1e-9)
    norms = [gradient.norm().item() for gradient in torch.autograd.grad(value, (student, teacher))]
    assert norms == pytest.approx(case["second_call"]["grad_norms"], rel=1e-9)


def test_oracle_with_embeddings(oracle, inputs: SimpleNamespace) -> None:
    _, candidates, student_memory, teacher_memory = memories(oracle)
    student_weight, student_bias, teacher_weight, teacher_bias = oracle.fill("crd_embed8").values()
    student = F.normalize(F.linear(inputs.student_pooled, student_weight, student_bias))
    teacher = F.normalize(F.linear(inputs.teacher_pooled, teacher_weight, teacher_bias))
    student_scores, _ = scores(student, teacher_memory[candidates])
    teacher_scores, _ = scores(teacher, student_memory[candidates])
    value = crd_loss(student_scores, teacher_scores, samples=SAMPLES)
    oracle.check("crd_embed8", value, inputs.student_pooled, student_weight, teacher_weight)


def test_each_direction_is_the_logistic_loss_of_positive_against_noise() -> None:
    first, second = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True).unbind()
    offset = np.log(5 / SAMPLES)
    expected = sum(-F.logsigmoid(x[:, 0] - offset) - F.logsigmoid(offset - x[:, 1:]).sum(1) for x in (first, second))
    assert crd_loss(first, second, samples=SAMPLES).item() == pytest.approx(expected.mean().item(), rel=1e-5)
    assert torch.autograd.gradcheck(lambda *x: crd_loss(*x, samples=SAMPLES), (first, second))


def test_permutable_symmetric_and_finite_far_out() -> None:
    first, second = 1e4 * torch.randn(2, 4, 6)
    value, order = crd_loss(first, second, samples=SAMPLES), torch.randperm(4)
    torch.testing.assert_close(crd_loss(second[order], first[order], samples=SAMPLES), value)
    assert value.isfinite()


def test_momentum_is_the_share_of_the_old_row() -> None:
    rows, embedding = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    moved = crd_memory_rows(rows, embedding, momentum=0.8)
    assert moved.tolist() == [pytest.approx([0.8 / 0.68**0.5, 0.2 / 0.68**0.5])]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(8, 17\) and \(8, 16\)"):
        crd_loss(torch.ones(8, 17), torch.ones(8, 16), samples=SAMPLES)


def test_the_same_candidates_for_all_may_be_given_once() -> None:
    embedding, rows = torch.randn(4, 8), torch.randn(6, 8)
    given = crd_similarities(embedding, rows.expand(4, 6, 8), temperature=TEMPERATURE)
    assert torch.allclose(crd_similarities(embedding, rows, temperature=TEMPERATURE), given)
