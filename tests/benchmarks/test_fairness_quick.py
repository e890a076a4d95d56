"""The quick size of the benchmark of fairness, in the long tier: it needs a machine for itself."""

from pathlib import Path

import pytest

from tests.benchmarks.fairness import SCENARIOS
from tests.benchmarks.figure import QUICK

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", SCENARIOS)
async def test_bounds_are_kept(name: str, tmp_path: Path) -> None:
    """Of all that is measured with real processes no bound is broken."""
    figures = await SCENARIOS[name](tmp_path / name, QUICK)

    assert [] == [figure for figure in figures if not figure.kept]
    assert any(figure.bound for figure in figures)
