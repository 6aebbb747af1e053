from torch import nn

from kdlight.methods.cc import CC
from tests.methods.conftest import build


def test_oracle(oracle, oracle_batch, oracle_student, oracle_teacher):
    model, filled = build(CC), oracle.fill("cc_embed8")
    student_weight, student_bias, teacher_weight, teacher_bias = filled.values()
    for name, weight, bias in (
        ("student_embedding", student_weight, student_bias),
        ("teacher_embedding", teacher_weight, teacher_bias),
    ):
        layer = nn.Linear(*weight.T.shape)
        layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        setattr(model, name, layer)
    value = model.loss_terms(oracle_student, oracle_teacher, oracle_batch)["cc"] / 0.02
    weights = model.student_embedding.weight, model.teacher_embedding.weight
    oracle.check("cc_embed8", value, oracle_student.embedding, *weights)


def test_equal_embeddings_have_no_distance(oracle_batch, oracle_student):
    model = build(CC)
    layer = nn.Linear(oracle_student.embedding.shape[1], 8).double()
    model.student_embedding = model.teacher_embedding = layer
    terms = model.loss_terms(oracle_student, oracle_student, oracle_batch)
    assert terms["cc"].item() == 0
