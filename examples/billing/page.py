"""What the driver prints: tables of plain text."""

import sys
from collections.abc import Mapping, Sequence
from statistics import median

from examples.billing.measured import IN_UNITS, ONE_BY_ONE, Took


def say(text: str) -> None:
    """Print it at once, also into a pipe."""
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


def numbers(found: Mapping[str, int]) -> str:
    """Return a line for each number."""
    return "\n".join(f"  {number:>9,}  {name}" for name, number in found.items())


def comparison(found: Sequence[Mapping[str, Took]], commit_ms: float, *, durable: bool) -> str:
    """Return the two ways side by side: sums over the tenants, the median of their ratios."""
    ratios = [each[ONE_BY_ONE].seconds / each[IN_UNITS].seconds for each in found]
    lines = [f"  {'':<14}{'documents':>10}{'commits':>10}{'seconds':>10}{'ms each':>10}"]
    for way in (ONE_BY_ONE, IN_UNITS):
        documents, commits, seconds = (sum(each[way][n] for each in found) for n in range(3))
        each_ms = seconds * 1000 / documents
        row = f"{documents:>10,.0f}{commits:>10,.0f}{seconds:>10.1f}{each_ms:>10.3f}"
        lines.append(f"  {way:<14}{row}")
    kind = "durable" if durable else "not durable"
    return "\n".join(
        [
            f"{kind} commits; a bare one took {commit_ms:.3f} ms",
            *lines,
            f"  ratio {median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})",
        ]
    )
