"""What a report says of the symbols."""

from kdlight.measuring.report import StageReport


def test_the_network_whose_symbols_limit_its_information_is_named():
    measured = {"label_entropy": 1.58, "cap_teacher": 2.58, "cap_student": 1.0}
    for who in ("teacher", "student"):
        measured |= {f"information_{who}": 0.7, f"information_{who}_lower": 0.5, f"information_{who}_upper": 0.95}
    assert StageReport.from_dict(measured).capped == {"student": 1.0}
    assert not StageReport.from_dict({**measured, "information_student_upper": 0.8}).capped
    assert not StageReport.from_dict({**measured, "cap_student": 1.58}).capped, "no more than H(label) can be told"
    assert not StageReport.from_dict({**measured, "cap_student": 0.0}).capped, "features that do not vary"
