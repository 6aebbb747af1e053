import os

import numpy as np
import pytest
import torch
import torch.multiprocessing
from torch.nn.functional import linear, normalize

from kdlight.losses.crd import crd_loss
from kdlight.methods.base.contrastive_memory import ContrastiveMemory

SAMPLES, DIM, NEGATIVES = 50, 8, 16


@pytest.fixture
def memory():
    """The memory of the oracle's CRD cases."""
    made = ContrastiveMemory(DIM, negatives=NEGATIVES, temperature=0.07, momentum=0.5).double()
    made.allocate(SAMPLES)
    for rows, seed in ((made.student, 1100), (made.teacher, 1101)):
        filled = (np.random.RandomState(seed).random_sample((SAMPLES, DIM)) * 2 - 1) / np.sqrt(DIM / 3)
        rows.copy_(torch.from_numpy(filled))
    return made


def candidates(oracle):
    index = torch.tensor(oracle.cases["crd_no_embedding"]["sample_index"])
    negatives = torch.from_numpy(np.random.RandomState(2000).randint(0, SAMPLES, (8, NEGATIVES)))
    return torch.cat([index[:, None], negatives], 1)


def test_oracle_of_two_steps(oracle, inputs, memory):
    case, chosen = oracle.cases["crd_no_embedding"], candidates(oracle)
    student, teacher = (
        normalize(pooled[:, :DIM].detach()).requires_grad_()
        for pooled in (inputs.student_pooled, inputs.teacher_pooled)
    )
    value = crd_loss(*memory(student, teacher, chosen), samples=SAMPLES)
    memory.update(chosen[:, 0], student, teacher)  # before the backward pass, as in a step
    oracle.check("crd_no_embedding", value, student, teacher)
    assert memory.log_normalizer.exp().tolist() == pytest.approx([case["Z_v1"], case["Z_v2"]], rel=1e-9)
    for rows, name in ((memory.student, "v1"), (memory.teacher, "v2")):
        assert rows[[3, 49]].tolist() == [
            pytest.approx(row, rel=1e-9) for row in case[f"memory_{name}_after"]["rows_3_and_49"]
        ]
        assert rows.norm().item() == pytest.approx(case[f"memory_{name}_after"]["frobenius_norm"], rel=1e-9)
    second = crd_loss(*memory(student, teacher, chosen), samples=SAMPLES)
    assert second.item() == pytest.approx(case["second_call"]["value"], rel=1e-9)


def test_oracle_with_embeddings(oracle, inputs, memory):
    student_weight, student_bias, teacher_weight, teacher_bias = oracle.fill("crd_embed8").values()
    student = normalize(linear(inputs.student_pooled, student_weight, student_bias))
    teacher = normalize(linear(inputs.teacher_pooled, teacher_weight, teacher_bias))
    value = crd_loss(*memory(student, teacher, candidates(oracle)), samples=SAMPLES)
    oracle.check("crd_embed8", value, inputs.student_pooled, student_weight, teacher_weight)


def test_momentum_is_the_share_of_the_old_row():
    made = ContrastiveMemory(2, negatives=1, temperature=0.07, momentum=0.8)
    made.allocate(1)
    for rows in (made.student, made.teacher):
        rows.copy_(torch.tensor([[1.0, 0.0]]))
    made.update(torch.tensor([0]), torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
    for rows in (made.student, made.teacher):
        assert rows[0].tolist() == pytest.approx([0.8 / 0.68**0.5, 0.2 / 0.68**0.5])


def test_negatives_are_the_samples_of_other_classes_and_all_equally_likely():
    torch.manual_seed(0)
    target = torch.tensor([2, 0, -1, 2, 1, 2, 0, -1, 2])
    memory = ContrastiveMemory(DIM, negatives=40_000, temperature=0.07, momentum=0.5)
    memory.allocate(len(target))
    memory.group_by_class(target)
    drawn = memory.draw_candidates(torch.arange(len(target)))
    assert torch.equal(drawn[:, 0], torch.arange(len(target)))
    for own, negatives in zip(target, drawn[:, 1:], strict=True):
        share = torch.bincount(negatives, minlength=len(target)) / 40_000
        expected = (target != own) / (target != own).sum()
        assert share == pytest.approx(expected.numpy(), abs=0.01)
        assert torch.equal(share > 0, expected > 0)


def test_first_rows_are_uniform_of_mean_squared_norm_one_and_each_network_has_its_own():
    made = ContrastiveMemory(DIM, negatives=1, temperature=0.07, momentum=0.5)
    made.allocate(10_000)
    bound = (3 / DIM) ** 0.5
    for rows in (made.student, made.teacher):
        assert rows.square().sum(1).mean().item() == pytest.approx(1, abs=0.02)
        quarters = torch.histc(rows, bins=4, min=-bound, max=bound) / rows.numel()
        assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.01)
    similarity = (made.student * made.teacher).sum(1)
    assert similarity.mean().item() == pytest.approx(0, abs=0.02)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="expected training samples of at least two classes, got one"):
        ContrastiveMemory(DIM, negatives=1, temperature=0.07, momentum=0.5).group_by_class(torch.ones(3))


def test_processes_share_one_memory(tmp_path):
    torch.multiprocessing.spawn(_update, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = _memory()
    for rank in range(2):
        alone.update(*_update_of(rank))
    for name in ("student", "teacher"):
        assert torch.equal(first[name], second[name])
        assert torch.equal(first[name], alone.get_buffer(name))


def _memory():
    memory = ContrastiveMemory(DIM, negatives=NEGATIVES, temperature=0.07, momentum=0.5)
    memory.allocate(SAMPLES, seed=3)
    return memory


def _update_of(rank):
    generator = torch.Generator().manual_seed(rank)
    student, teacher = normalize(torch.randn(2, 4, DIM, generator=generator), dim=2)
    return torch.arange(4) * 2 + rank, student, teacher


def _update(rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    memory = _memory()
    memory.update(*_update_of(rank))
    torch.save(memory.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
