"""What a benchmark prints: a table of figures, each beside the bound that it must keep."""

from collections.abc import Iterable
from typing import NamedTuple


class Figure(NamedTuple):
    """One thing that was measured."""

    scenario: str
    what: str
    measured: str
    bound: str = ""  # what it must keep, in words; empty: it is only told
    kept: bool = True


class Size(NamedTuple):
    """How much is done."""

    flood: int  # runs that the flood queues
    seconds: float  # of the longest look
    claims: int  # that are timed at each number of tenants
    within: float  # part by which a share may differ from what it should be

    @property
    def unit(self) -> float:
        """Return by what the runs are shorter than in full size: a window is to hold many."""
        return self.seconds / FULL.seconds


FULL = Size(flood=100_000, seconds=60.0, claims=2_000, within=0.05)
QUICK = Size(flood=10_000, seconds=12.0, claims=300, within=0.1)


def at_most(scenario: str, what: str, value: float, bound: float, why: str) -> Figure:
    """Return a figure in seconds that is not to pass its bound, and where that comes from."""
    told = f"<= {bound * 1000:.1f} ms: {why}"
    return Figure(scenario, what, f"{value * 1000:.1f} ms", told, value <= bound)


def at_least(scenario: str, what: str, value: float, bound: float) -> Figure:
    """Return a figure that is to reach its bound."""
    return Figure(scenario, what, f"{value:.3f}", f">= {bound}", value >= bound)


def near(scenario: str, what: str, value: float, wanted: float, within: float) -> Figure:
    """Return a figure that is to differ from what is wanted by so large a part of it at most."""
    told = f"{wanted:.3f} within {within:.0%}"
    return Figure(scenario, what, f"{value:.3f}", told, abs(value / wanted - 1) <= within)


def exactly_once(scenario: str, runs: int, unwell: Iterable[str]) -> Figure:
    """Return how many runs there were, and whether each was done once."""
    wrong = "; ".join(unwell)
    return Figure(scenario, "runs", f"{runs:,} {wrong}".strip(), "each done once", not wrong)


def print_table(figures: Iterable[Figure]) -> None:
    """Print figures as Markdown."""
    print("| scenario | what | measured | bound | |\n| --- | --- | --- | --- | --- |")
    for each in figures:
        kept = "" if not each.bound else "kept" if each.kept else "**broken**"
        print(f"| {each.scenario} | {each.what} | {each.measured} | {each.bound} | {kept} |")
