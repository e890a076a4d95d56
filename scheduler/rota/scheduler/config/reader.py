"""Reads the nodes of one document as what they should be, and collects what they are not."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode

from rota.scheduler.config import field
from rota.scheduler.config.diagnostic import MAX_PROBLEMS, Problem, quoted
from rota.scheduler.config.document import Document
from rota.scheduler.config.field import FieldError

Pair = tuple[Node, Node]  # a key and its value
Pairs = dict[str, Pair]  # by the text of the key


class TooManyProblems(Exception):
    """So much is wrong that looking for more is no use."""


class Reader:
    """Node by node, and no further than many problems."""

    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self._document = document

    def _fields(self, node: Node, spec: type[msgspec.Struct], label: str) -> Pairs:
        """Return the fields of a mapping that `spec` knows; the others are problems."""
        pairs = self._pairs(node, "fields")
        known = spec.__struct_encode_fields__
        for name in [name for name in pairs if name not in known]:
            advice = field.did_you_mean(name, known) or _allowed(known)
            message = f"unknown field {quoted(name)}"
            self._add(pairs.pop(name)[0], message, label=label, advice=advice)
        return pairs

    def _pairs(self, node: Node, what: str) -> Pairs:
        if type(node) is not MappingNode:
            message = f"expected a mapping of {what}, got {field.kind(self._plain(node))}"
            self._add(node, message)
            return {}
        pairs: Pairs = {}
        for key, value in node.value:
            if type(key) is ScalarNode:
                pairs.setdefault(key.value, (key, value))
        return pairs

    @staticmethod
    def _place(pair: Pair, name: str) -> Node:
        """Return the node of a field of a mapping; of the mapping's own name if it has none."""
        key, mapping = pair
        fields = mapping.value if type(mapping) is MappingNode else []
        return next((value for field, value in fields if field.value == name), key)

    def _name(self, node: Node) -> None:
        self._check(node, field.name, node.value)

    def _text(self, node: Node, expected: str) -> str | None:
        value = self._plain(node)
        if isinstance(value, str):
            return value
        self._add(node, f"expected {expected}, got {field.kind(value)}")
        return None

    def _check(self, node: Node, check: Callable[[Any], object], value: Any) -> None:
        try:
            check(value)
        except FieldError as error:
            self._add(node, str(error), advice=error.advice)

    def _plain(self, node: Node) -> Any:
        return self._document.plain(node, [])  # its problems were collected when it was read

    def _add(self, node: Node, message: str, *, label: str = "", advice: str = "") -> None:
        self.problems.append(self._document.problem(node, message, label=label, advice=advice))
        if len(self.problems) >= MAX_PROBLEMS:
            raise TooManyProblems


def _allowed(known: Iterable[str]) -> str:
    return f"known fields are {', '.join(known)}" if known else "leave it out"
