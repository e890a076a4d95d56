"""Data on standard output: JSON that parses, and tables that a hostile value can't disturb."""

import json
from typing import Any

import msgspec
import pytest

from rota.scheduler import output


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Something to print."""

    name: str
    count: int | None = None


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Structs, lists and None become JSON, indented, one document with a newline behind."""
    output.write_json({"rows": [Row(name="ä\n", count=1), Row(name="b")]})
    text = capsys.readouterr().out

    assert {"rows": [{"name": "ä\n", "count": 1}, {"name": "b", "count": None}]} == json.loads(text)
    assert text.startswith('{\n  "rows"')
    assert text.endswith("}\n")


def test_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A line is printed as it is."""
    output.write_line("ok: 1 group")

    assert "ok: 1 group\n" == capsys.readouterr().out


@pytest.mark.parametrize(("number", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs")])
def test_counted(number: int, text: str) -> None:
    """Only one of something is told in the singular."""
    assert text == output.counted(number, "run")


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are as wide as their widest cell; no line ends in blanks."""
    output.write_table("ROWS", ("NAME", "N"), [("a-long-name", 1), ("b", None)])

    assert [
        "ROWS",
        "  NAME         N",
        "  a-long-name  1",
        "  b            -",
        "",
        "",
    ] == capsys.readouterr().out.split("\n")


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an empty table nothing is printed, not even its title."""
    output.write_table("ROWS", ("NAME",), [])

    assert "" == capsys.readouterr().out


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "a\x1b[31mb", "a\rb", "a\u202eb"])
def test_hostile_values(capsys: pytest.CaptureFixture[str], value: Any) -> None:
    """A value with control characters neither breaks the table nor reaches the terminal."""
    output.write_table("ROWS", ("NAME",), [(value,)])
    lines = capsys.readouterr().out.split("\n")

    assert 5 == len(lines)
    assert lines[2].replace("?", "") in ("  ab", "  a[31mb")
    assert all(line.isprintable() for line in lines)
