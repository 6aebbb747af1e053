"""The redundancies of Williams and Beer and of Barrett."""

import numpy as np
import pytest

from kdlight.information.broja_solver import broja
from kdlight.information.entropies import mutual_information
from kdlight.information.redundancies import i_min, i_mmi
from tests.information.oracle import named, random_joint


def test_two_bit_copy_tells_them_apart() -> None:
    """Williams and Beer call two independent bits redundant; BROJA does not."""
    copy = named("COPY")
    assert i_min(copy).redundant == pytest.approx(1)
    assert i_mmi(copy).redundant == pytest.approx(1)
    assert broja(copy).redundant == pytest.approx(0)


def test_i_min_by_hand() -> None:
    """(0,0), (0,1), (1,0) with 1/3 each give three classes: each source tells log2 3 - 1 about two of them at least."""
    joint = np.zeros((2, 2, 3))
    joint[0, 0, 0] = joint[0, 1, 1] = joint[1, 0, 2] = 1 / 3
    assert i_min(joint)[:4] == pytest.approx((np.log2(3) - 1, 1 / 3, 1 / 3, 1 / 3))


@pytest.mark.parametrize("seed", range(5))
def test_consistency_and_order(seed: int) -> None:
    joint = random_joint("lcg_exp", 3, 4, 5, seed)
    for decompose in (i_min, i_mmi):
        result = decompose(joint)
        assert result.gap == 0
        assert result.information_first == pytest.approx(mutual_information(joint.sum(1)))
        assert result.information_second == pytest.approx(mutual_information(joint.sum(0)))
        assert result.information == pytest.approx(mutual_information(joint.reshape(-1, 3)))
    assert broja(joint).redundant <= i_mmi(joint).redundant
    assert i_min(joint).redundant <= i_mmi(joint).redundant
    batch = i_min(np.stack([joint, joint]))
    assert batch.redundant[1] == i_min(joint).redundant
