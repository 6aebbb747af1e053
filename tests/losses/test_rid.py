from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from kdlight.losses.rid import rid_mismatch, rid_variance_penalty


def stages(inputs: SimpleNamespace, start: str) -> tuple[list, list, list, list]:
    """Filtered student and teacher maps, variance parameters and variances of the RID cases."""
    students, teachers = inputs.student_feats, inputs.teacher_feats_same_width
    ends = (5, 5) if start == "const" else (-2, 3)
    parameters = [torch.linspace(*ends, s.shape[1], dtype=torch.float64).requires_grad_() for s in students]
    return students, teachers, parameters, [F.softplus(p) + 1e-3 for p in parameters]


@pytest.mark.parametrize("start", ["const", "ramp"])
def test_oracle(oracle, inputs: SimpleNamespace, start: str) -> None:
    students, teachers, parameters, variances = stages(inputs, start)
    leaves = *students, *teachers, *parameters
    mismatch = sum(map(rid_mismatch, students, teachers, variances))
    oracle.check(f"rid_phase1_mismatch_{start}", mismatch, *leaves)
    oracle.check(f"rid_phase2_{start}", sum(map(rid_variance_penalty, variances)) + mismatch, *leaves)
    # The log variant is the authors' other class, not the paper's loss and not offered; its mismatch is the same.
    oracle.check(f"rid_phase1_log_variant_{start}", sum(v.log().mean() for v in variances) + mismatch, *leaves)


def test_oracle_with_cross_entropies(oracle, inputs: SimpleNamespace) -> None:
    students, teachers, parameters, variances = stages(inputs, "const")
    mismatch = sum(map(rid_mismatch, students, teachers, variances))
    heads = inputs.student_logits, inputs.teacher_logits, (inputs.student_logits + inputs.teacher_logits).detach() / 2
    heads[2].requires_grad_()
    first_round = sum(F.cross_entropy(logits, inputs.target) for logits in heads)
    assert first_round.item() == pytest.approx(oracle.cases["rid_phase1_total"]["first_round_value"], rel=1e-9)
    oracle.check("rid_phase1_total", first_round + mismatch, *teachers, *heads)
    student = F.cross_entropy(inputs.student_logits, inputs.target) + sum(map(rid_variance_penalty, variances))
    oracle.check("rid_phase2_total", student + mismatch, inputs.student_logits, *students, *parameters)


def test_sum_is_the_papers_equation(inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[2][:, :3].detach(), inputs.teacher_feats_same_width[2][:, :3].detach()
    sigma = [0.5, 1.0, 2.0]
    expected = sum(
        ((teacher[n, c] - student[n, c]) ** 2 / sigma[c]).sum().item() / 8 for n in range(8) for c in range(3)
    )
    variance = torch.tensor(sigma, dtype=torch.float64)
    assert rid_mismatch(student, teacher, variance, reduction="sum").item() == pytest.approx(expected, rel=1e-12)
    assert rid_variance_penalty(variance, reduction="sum").item() == pytest.approx(5.25)


def test_symmetric_permutable_and_zero_where_the_maps_agree(inputs: SimpleNamespace) -> None:
    student, teacher = inputs.student_feats[2], inputs.teacher_feats_same_width[2]
    variance = torch.linspace(0.1, 2, 16, dtype=torch.float64)
    value, order = rid_mismatch(student, teacher, variance).item(), torch.randperm(8)
    assert rid_mismatch(student, student, variance).item() == 0.0
    assert rid_mismatch(teacher, student, variance).item() == value
    assert rid_mismatch(student[order], teacher[order], variance).item() == pytest.approx(value, rel=1e-12)


def test_gradient_reaches_all_three() -> None:
    maps = torch.randn(2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    variance = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    for reduction in ("mean", "sum"):
        assert torch.autograd.gradcheck(lambda *a, r=reduction: rid_mismatch(*a, reduction=r), (*maps, variance))


def test_shapes_must_agree(inputs: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"\(8, 12, 8, 8\) and \(8, 16, 4, 4\)"):
        rid_mismatch(inputs.student_feats[1], inputs.student_feats[2], torch.ones(12))
