"""What is wrong with a configuration, and where: one problem, and all of them as one error."""

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from rota.common.errors import ConfigError

MAX_PROBLEMS: Final = 10_000  # after so many we stop looking: nobody reads on
SHOWN: Final = 100  # problems that an InvalidConfig spells out; the rest are counted
_LONGEST_MESSAGE = 400  # characters; a message may quote what somebody wrote
_LONGEST_LINE = 140  # characters of a source line that are shown around the caret
_LEAD = 40  # characters shown before the caret where a line is cut


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, at one place in one file."""

    file: str  # as the user named it, or below the directory that the user named
    line: int = 1  # counted from 1
    column: int = 1  # counted from 1, in characters
    message: str  # what is wrong, in a sentence without a full stop
    label: str = ""  # a few words beside the caret
    help: str = ""  # what to do about it
    source_line: str = ""  # the line that it stands on, whole; empty where the file has no text
    severity: Literal["error", "warning"] = "error"
    width: int = 0  # characters to underline; 0 where there is no place to show

    def render(self) -> str:
        """Return the problem as people read it: the sentence, the place, the line, a caret."""
        out = [f"{self.severity}: {_shown(self.message)}"]
        if not self.width:
            out.append(f"  --> {_printable(self.file)}")
        else:
            out += self._snippet()
        if self.help:
            pad = " " * len(str(self.line)) if self.width else ""
            out.append(f" {pad} = help: {_shown(self.help)}")
        return "\n".join(out)

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as plain data, for JSON."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    def _snippet(self) -> list[str]:
        number = str(self.line)
        pad = " " * len(number)
        line, before = _cut(self.source_line, self.column - 1)
        carets = "^" * max(1, min(self.width, len(line) - before))
        return [
            f"{pad} --> {_printable(self.file)}:{self.line}:{self.column}",
            f" {pad} |",
            f" {number} | {_printable(line)}".rstrip(),
            f" {pad} | {' ' * before}{carets} {_shown(self.label)}".rstrip(),
        ]


class InvalidConfig(ConfigError):
    """The configuration is invalid; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda it: (it.file, it.line, it.column))
        super().__init__(self._text())

    def _text(self) -> str:
        count, files = len(self.problems), len({problem.file for problem in self.problems})
        blocks = [problem.render() for problem in self.problems[:SHOWN]]
        if count > SHOWN:
            blocks.append(f"... and {_counted(count - SHOWN, 'more problem')}")
        blocks.append(f"{_counted(count, 'problem')} in {_counted(files, 'file')}")
        return "\n\n".join(blocks)


def quoted(text: str) -> str:
    """Return `text` in backticks, cut to a length that fits a message."""
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"  # noqa: PLR2004 - a line's width


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _printable(text: str) -> str:
    """Replace what would move the cursor, hide text or turn its direction."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\ufffd" for char in text
    )


def _shown(text: str) -> str:
    cut = text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 3]}..."
    return _printable(cut)


def _cut(line: str, at: int) -> tuple[str, int]:
    """Return the part of a long line around `at`, and where `at` lies in it."""
    if len(line) <= _LONGEST_LINE:
        return line, at
    start = max(0, at - _LEAD)
    part = line[start : start + _LONGEST_LINE]
    head = "..." if start else ""
    tail = "..." if start + _LONGEST_LINE < len(line) else ""
    return f"{head}{part}{tail}", at - start + len(head)
