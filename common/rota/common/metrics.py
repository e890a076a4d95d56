"""Numbers in Prometheus' text format: counters, gauges, histograms, and the page that shows them.

Names begin with `rota_`, units are seconds, and a label has few values, never a tenant or a job.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Sequence
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One line of a family."""

    suffix: str  # behind the family's name
    label: tuple[str, str] | None  # name and value
    value: float


class Family(NamedTuple):
    """One metric with all its samples."""

    name: str
    kind: str  # counter, gauge or histogram
    about: str
    samples: list[Sample]


class Counter:
    """Counts things by one label."""

    def __init__(self, name: str, about: str, label: str, known: Sequence[str] = ()) -> None:
        self._name, self._about, self._label = name, about, label
        # A rate can be reckoned from the first one on only if there was a 0 before.
        self._counts: Tally[str] = Tally(dict.fromkeys(known, 0))

    def add(self, value: str, count: int = 1) -> None:
        """Count so many things whose label has this value."""
        self._counts[value] += count

    def family(self) -> Family:
        """Return what was counted."""
        rows = [Sample("", (self._label, value), n) for value, n in sorted(self._counts.items())]
        return Family(self._name, "counter", self._about, rows)


class Histogram:
    """Counts how many observed values were at most each of some bounds."""

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        self._name, self._about, self._bounds = name, about, sorted(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self) -> Family:
        """Return what was observed; each bucket holds those below it, too."""
        rows, total = [], 0
        names = [*(_number(bound) for bound in self._bounds), "+Inf"]
        for name, count in zip(names, self._counts, strict=True):
            total += count
            rows.append(Sample("_bucket", ("le", name), total))
        rows += [Sample("_sum", None, self._sum), Sample("_count", None, total)]
        return Family(self._name, "histogram", self._about, rows)


def gauge(name: str, about: str, value: float) -> Family:
    """Return something that goes up and down."""
    return Family(name, "gauge", about, [Sample("", None, value)])


def count(name: str, about: str, value: int) -> Family:
    """Return something that only rises, without a label."""
    return Family(name, "counter", about, [Sample("", None, value)])


def page(families: Sequence[Family]) -> str:
    """Return the page that shows `families`."""
    return "\n".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> list[str]:
    lines = [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
    for suffix, label, value in family.samples:
        shown = f'{{{label[0]}="{_escaped(label[1])}"}}' if label else ""
        lines.append(f"{family.name}{suffix}{shown} {_number(value)}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
