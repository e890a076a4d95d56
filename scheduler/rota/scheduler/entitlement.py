"""What each of several that share something is entitled to, and how fair a division was. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Claimant(NamedTuple):
    """One that shares."""

    weight: float
    got: float  # of what is divided, in any unit
    wanted: float  # at least what it got


def entitled(claimants: Sequence[Claimant]) -> list[float]:
    """Return what each would have, had all that they got been divided by weight.

    Who wants less than its part leaves the rest to the others, by weight again, like water that
    fills vessels: nobody gets more than it wants, and nothing is left over.
    """
    rest, weights = sum(c.got for c in claimants), sum(c.weight for c in claimants)
    found = [0.0] * len(claimants)
    by_need = sorted(range(len(claimants)), key=lambda i: claimants[i].wanted / claimants[i].weight)
    for i in by_need:
        each = claimants[i]
        found[i] = min(each.wanted, rest * each.weight / weights)
        rest, weights = rest - found[i], weights - each.weight
    return found


def jain(values: Sequence[float]) -> float | None:
    """Return Jain's index: 1 if all are alike, 1/n if one has it all; None of fewer than two."""
    squares = sum(value * value for value in values)
    if len(values) < 2 or not squares:  # noqa: PLR2004 - one alone is compared with nobody
        return None
    return sum(values) ** 2 / (len(values) * squares)


def percentile(values: Sequence[int], part: float) -> int | None:
    """Return the least value that `part` of all do not exceed; None if there are none."""
    return sorted(values)[math.ceil(part * len(values)) - 1] if values else None
