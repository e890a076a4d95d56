"""What a benchmark prints: where it ran, a Markdown table, bars as SVG."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from statistics import median

from rota.common.embedded import find_server

_WIDE, _ROW, _LEFT = 760, 24, 190  # pixels: the picture, one bar, the names beside them


def machine() -> str:
    """Return the machine and the versions that every figure depends on."""
    found = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in found.splitlines() if "model name" in line]
    server = subprocess.run(
        [find_server(), "--version"], check=True, capture_output=True, text=True
    ).stdout.split()
    store = f"{server[0]} {next(word for word in server if word.startswith('v='))[2:]}"
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({names[0] if names else platform.machine()}), "
        f"{platform.system()}, Python {platform.python_version()}, {store}; load {load:.1f}"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float], places: int = 0) -> str:
    """Return the median of values, and the least and the greatest if there are several."""
    middle = f"{median(values):,.{places}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{places}f} - {max(values):,.{places}f})"


def bars(title: str, values: Sequence[tuple[str, float]]) -> str:
    """Return a picture of values as bars, as SVG."""
    most = max(value for _, value in values)
    high = _ROW * len(values) + 40
    box = f'viewBox="0 0 {_WIDE} {high}" font-family="sans-serif" font-size="13"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{_WIDE}" height="{high}" fill="white"/>',
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for i, (name, value) in enumerate(values):
        top, long = 32 + i * _ROW, value / most * (_WIDE - _LEFT - 90)
        fill = "#c2410c" if name.startswith("rota") else "#64748b"
        lines += [
            f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{long:.1f}" height="{_ROW - 6}" fill="{fill}"/>',
            f'<text x="{_LEFT + long + 6:.1f}" y="{top + 14}">{value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
