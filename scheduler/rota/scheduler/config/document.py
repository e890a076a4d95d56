"""One YAML file: read within limits, strictly, into plain data whose places can be found again.

Of YAML only mappings, sequences and scalars are read. Anchors, aliases, tags and merge keys are
problems, and so are duplicate keys, which PyYAML would drop in silence. Plain scalars stand for
null, true, false and decimal numbers as in JSON; everything else is text, so that `no`, `12:30`
and `010` stay what they look like.
"""

import re
import stat
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.nodes import Node, ScalarNode, SequenceNode

from rota.scheduler.config import composer, scalar
from rota.scheduler.config.diagnostic import MAX_PROBLEMS, Problem, quoted

MAX_BYTES: Final = 8 * 1024 * 1024  # of one file

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what libyaml counts as one
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SUSPECT = re.compile(r"[&*][0-9A-Za-z_-]|!")  # an anchor, alias or tag can't do without


class Document:
    """The text of one file, its plain data, and the nodes that say where the data stands."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.data: Any = None
        self.problems: list[Problem] = []  # what is wrong with the YAML itself
        self.readable = False  # whether `data` holds all that the file declares
        self._pairs: dict[int, dict[str, tuple[Node, Node]]] = {}  # of nodes that were searched

    @cached_property
    def root(self) -> Node:
        """The nodes, composed again: only a file with problems pays for keeping them."""
        return composer.compose(self.text)

    def parse(self) -> None:
        """Fill `data`, `problems` and `readable` from the text."""
        if forbidden := _FORBIDDEN.search(self.text):
            self.problems.append(self._control_character(forbidden))
            return
        if _SUSPECT.search(self.text):
            self._refuse_indirection()
        if self.problems:
            return
        try:
            root = composer.compose(self.text)
        except yaml.YAMLError as error:
            self.problems.append(self._syntax(error))
            return
        self.data = self.plain(root, self.problems)
        self.readable = True

    def plain(self, node: Node, problems: list[Problem]) -> Any:
        """Return the plain data of `node`, adding to `problems` what no plain data can hold."""
        if type(node) is ScalarNode:
            return self._scalar(node, problems)
        if type(node) is SequenceNode:
            return [self.plain(item, problems) for item in node.value]
        found: dict[str, Any] = {}
        for key, value in node.value:
            data = self.plain(value, problems)
            if _is_key(key):
                found.setdefault(key.value, data)
        if len(found) < len(node.value):
            problems += islice(self._bad_keys(node), MAX_PROBLEMS)
        return found

    def find(self, path: tuple[str, ...]) -> tuple[Node, Node]:
        """Return the nodes of the key that `path` leads to, and of its value."""
        key = value = self.root
        for part in path:
            pairs = self._pairs.get(id(value))
            if pairs is None:
                pairs = {pair[0].value: pair for pair in reversed(value.value) if _is_key(pair[0])}
                self._pairs[id(value)] = pairs
            key, value = pairs[part]
        return key, value

    def problem(self, node: Node, message: str, *, label: str = "", advice: str = "") -> Problem:
        """Return the problem that `message` describes, at the place of `node`."""
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else len(self.text)
        return self.at(start.line, start.column, message, width=width, label=label, advice=advice)

    def at(
        self,
        line: int,
        column: int,
        message: str,
        *,
        width: int = 1,
        label: str = "",
        advice: str = "",
    ) -> Problem:
        """Return the problem that `message` describes, at a line and column counted from 0."""
        line = min(line, len(self._lines) - 1)
        source = self._lines[line]
        column = min(column, len(source))
        return Problem(
            file=self.file,
            line=line + 1,
            column=column + 1,
            message=message,
            label=label,
            help=advice,
            source_line=source,
            width=max(1, min(width, len(source.rstrip()) - column)),
        )

    @cached_property
    def _lines(self) -> list[str]:
        return _LINE_BREAK.split(self.text)

    def _scalar(self, node: ScalarNode, problems: list[Problem]) -> Any:
        if node.tag == composer.TEXT:
            return node.value
        try:
            return scalar.value(node.value)
        except ValueError as error:
            problems.append(self.problem(node, str(error), advice="put it in quotes if it is text"))
            return node.value

    def _bad_keys(self, mapping: Node) -> Iterator[Problem]:
        firsts: dict[str, Node] = {}
        for key, _ in mapping.value:
            if type(key) is not ScalarNode:
                yield self.problem(key, "a key is text, not a mapping or a list")
            elif not _is_key(key):
                yield self.problem(key, "merge keys are not read", advice=_WRITE_OUT)
            elif (first := firsts.setdefault(key.value, key)) is not key:
                place = f"it stands on line {first.start_mark.line + 1} already"
                yield self.problem(key, f"duplicate key {quoted(key.value)}", advice=place)

    def _control_character(self, found: re.Match[str]) -> Problem:
        before = _LINE_BREAK.split(self.text[: found.start()])
        code = f"U+{ord(found.group()):04X}"
        message = f"the file holds the control character {code}"
        advice = "is this a text file, in UTF-8?"
        return self.at(len(before) - 1, len(before[-1]), message, advice=advice)

    def _refuse_indirection(self) -> None:
        """Find every anchor, alias and tag, used or not, by the parser's own events."""
        try:
            for event in composer.events(self.text):
                if len(self.problems) >= MAX_PROBLEMS:
                    return
                if isinstance(event, yaml.AliasEvent):
                    self._refuse(event, f"aliases are not read: `*{event.anchor}`", _WRITE_OUT)
                    continue
                if anchor := getattr(event, "anchor", None):
                    self._refuse(event, f"anchors are not read: `&{anchor}`", _WRITE_OUT)
                if tag := getattr(event, "tag", None):
                    self._refuse(event, f"tags are not read: {quoted(tag)}", _UNTAG)
        except yaml.YAMLError as error:
            self.problems.append(self._syntax(error))

    def _refuse(self, event: yaml.Event, message: str, advice: str) -> None:
        mark = event.start_mark
        assert mark is not None
        self.problems.append(self.at(mark.line, mark.column, message, advice=advice))

    def _syntax(self, error: yaml.YAMLError) -> Problem:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "it can't be read"
        if mark is None:
            return self.at(0, 0, f"not YAML: {what}")
        if isinstance(error, composer.LimitError):
            return self.at(mark.line, mark.column, what, advice=error.advice)
        if "single document" in str(getattr(error, "context", "")):
            return self.at(mark.line, mark.column, "one file holds one document", advice=_SPLIT)
        start = getattr(error, "context_mark", None)
        if start is not None and mark.index >= len(self.text.rstrip()):
            return self.at(start.line, start.column, f"not YAML: {what}", label=_UNCLOSED)
        index = mark.index - (self.text[mark.index - 1 : mark.index] in _INDICATORS)
        column = mark.column - (mark.index - index)
        advice = _SYNTAX.get(self.text[index : index + 1], "")
        return self.at(mark.line, column, f"not YAML: {what}", advice=advice)


def read(path: Path, file: str) -> Document:
    """Return the document in `path`, which problems call `file`; never raises for its content."""
    try:
        text = _text(path)
    except UnicodeDecodeError as error:
        return _unreadable(file, f"the file is not UTF-8: byte {error.start + 1} can't be read")
    except OSError as error:
        return _unreadable(file, f"the file can't be read: {error.strerror or error}")
    except ValueError as error:
        return _unreadable(file, str(error))
    document = Document(file, text)
    document.parse()
    return document


def _text(path: Path) -> str:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("this is no regular file")
    too_large = f"the file is larger than {MAX_BYTES // 1024**2} MiB; split it into several files"
    if about.st_size > MAX_BYTES:
        raise ValueError(too_large)
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:  # it grew since
        raise ValueError(too_large)
    return data.decode("utf-8-sig")


def _unreadable(file: str, message: str) -> Document:
    document = Document(file, "")
    document.problems.append(Problem(file=file, message=message))
    return document


def _is_key(node: Node) -> bool:
    """Tell whether a node may be a key: a scalar, and none that YAML 1.1 would merge."""
    return type(node) is ScalarNode and (node.value != "<<" or node.tag == composer.TEXT)


_WRITE_OUT = "write the value out, or let tenants share jobs through `templates` and `use`"
_UNTAG = "leave the tag out; put text that starts with ! in quotes"
_SPLIT = "put what follows `---` into a file of its own"
_UNCLOSED = "what starts here has no end"
_INDICATORS = ("*", "&", "!")  # libyaml complains of the character after these
_SYNTAX = {
    "\t": "indent with spaces, not with tabs",
    "*": "put a value that starts with * in quotes, such as a cron expression",
    "@": 'put a value that starts with @ in quotes, such as "@daily"',
    "%": "put a value that starts with % in quotes",
    "`": "put a value that starts with ` in quotes",
}
