"""What the driver prints: tables of plain text."""

import sys
from collections.abc import Mapping, Sequence
from statistics import median

from examples.billing.measured import IN_UNITS, ONE_BY_ONE, Comparison, Took


def say(text: str) -> None:
    """Print it at once, also into a pipe."""
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


def numbers(found: Mapping[str, int]) -> str:
    """Return a line for each number."""
    return "\n".join(f"  {number:>9,}  {name}" for name, number in found.items())


def comparison(found: Sequence[Comparison], *, durable: bool) -> str:
    """Return the two ways side by side: sums over the tenants, the median of their ratios."""
    ratios = [each.one_by_one.seconds / each.in_units.seconds for each in found]
    bare = median(each.commit_ms for each in found)
    return "\n".join(
        [
            f"{'durable' if durable else 'not durable'} commits; a bare one took {bare:.3f} ms",
            f"  {'':<14}{'documents':>10}{'commits':>10}{'seconds':>10}{'ms each':>10}",
            _sum(ONE_BY_ONE, [each.one_by_one for each in found]),
            _sum(IN_UNITS, [each.in_units for each in found]),
            f"  ratio {median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})",
        ]
    )


def _sum(way: str, found: Sequence[Took]) -> str:
    documents, commits = (sum(each[n] for each in found) for n in range(2))
    seconds = sum(each.seconds for each in found)
    each_ms = seconds * 1000 / documents
    return f"  {way:<14}{documents:>10,}{commits:>10,}{seconds:>10.1f}{each_ms:>10.3f}"
