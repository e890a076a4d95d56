"""What each is entitled to when something is shared, and how fair a division was."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.scheduler.entitlement import Claimant, entitled, jain, percentile

CLAIMANTS = st.builds(
    lambda weight, got, more: Claimant(weight, got, got + more),
    st.floats(0.1, 1000),
    st.floats(0, 1e6),
    st.sampled_from([0.0, 1.0, 50.0, 1e7, inf]),
)


@pytest.mark.parametrize(
    ("claimants", "expected"),
    [
        ([], []),
        ([Claimant(1, 5, inf)], [5]),
        ([Claimant(1, 9, inf), Claimant(1, 1, inf)], [5, 5]),
        ([Claimant(1, 6, inf), Claimant(2, 6, inf)], [4, 8]),
        ([Claimant(1, 9, inf), Claimant(1, 1, 2)], [8, 2]),
        ([Claimant(1, 9, 9), Claimant(1, 1, 1)], [9, 1]),
        ([Claimant(1, 8, inf), Claimant(1, 2, 2), Claimant(2, 2, inf)], [10 / 3, 2, 20 / 3]),
        ([Claimant(1, 0, 0), Claimant(1, 0, inf)], [0, 0]),
    ],
    ids=["nobody", "alone", "alike", "weights", "modest", "content", "rest by weight", "nothing"],
)
def test_division(claimants: list[Claimant], expected: list[float]) -> None:
    """All is divided by weight; what one does not want is the others', by weight again."""
    assert pytest.approx(expected) == entitled(claimants)


@given(st.lists(CLAIMANTS, min_size=1, max_size=20))
def test_laws_of_division(claimants: list[Claimant]) -> None:
    """Nothing is left over, nobody gets more than it wants, and who wants more has the most."""
    found = entitled(claimants)
    pairs = list(zip(claimants, found, strict=True))
    level = max(part / each.weight for each, part in pairs)

    assert pytest.approx(sum(each.got for each in claimants)) == sum(found)
    assert all(part <= each.wanted * (1 + 1e-9) for each, part in pairs)
    assert all(
        pytest.approx(level, rel=1e-6, abs=1e-6) == part / each.weight
        for each, part in pairs
        if part < each.wanted * (1 - 1e-9)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), ([3], None), ([0, 0], None), ([2, 2, 2], 1.0), ([1, 0], 0.5), ([1, 2], 0.9)],
)
def test_jain(values: list[float], expected: float | None) -> None:
    """The index is 1 where all have the same, 1/n where one has it all; one alone has none."""
    assert expected == jain(values)


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [
        ([], 0.5, None),
        ([7], 0.99, 7),
        ([3, 1, 2], 0.5, 2),
        ([4, 3, 2, 1], 0.5, 2),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 201)), 0.99, 198),
    ],
)
def test_percentile(values: list[int], part: float, expected: int | None) -> None:
    """It is a wait that there was, and so many do not exceed it."""
    assert expected == percentile(values, part)
