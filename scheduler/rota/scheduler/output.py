"""How commands print data on standard output: aligned text for people, JSON for programs."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec


def write_json(data: Any) -> None:
    """Print `data` as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")


def write_line(text: str) -> None:
    """Print one line."""
    sys.stdout.write(f"{text}\n")


def write_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table under a title; nothing if there are no rows."""
    if not rows:
        return
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    sys.stdout.write(f"{title}\n")
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"  {line.rstrip()}\n")
    sys.stdout.write("\n")


def counted(number: int, noun: str) -> str:
    """Return `1 run`, `2 runs`; `noun` is the singular."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Return `text` as one line that does nothing to a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _cell(value: Any) -> str:
    return "-" if value is None else printable(str(value))
