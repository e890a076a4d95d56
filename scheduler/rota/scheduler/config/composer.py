"""YAML text into PyYAML's nodes and events, by libyaml, and no further than our limits.

libyaml recurses while it composes, so that depth is bounded here, before the stack is.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.nodes import Node, ScalarNode

MAX_DEPTH: Final = 64  # mappings and sequences within each other
MAX_VALUES: Final = 1_000_000  # keys and values of one file; each costs some 300 bytes of memory
PLAIN: Final = "plain"  # the tag of a scalar without quotes
TEXT: Final = "text"  # the tag of every other node; explicit tags are told from these


class LimitError(yaml.MarkedYAMLError):
    """A file that is YAML, and deeper or larger than we read."""

    advice = ""


def compose(text: str) -> Node:
    """Return the root of the one document in `text`, which is an empty scalar if there is none.

    Raises `yaml.YAMLError`, of which `LimitError` is one.
    """
    root = _Composer(text).get_single_node()
    return ScalarNode(PLAIN, "", *_start()) if root is None else root


def _start() -> tuple[yaml.Mark, yaml.Mark]:
    mark = yaml.Mark("", 0, 0, 0, None, 0)
    return mark, mark


def events(text: str) -> Iterator[yaml.Event]:
    """Yield the parser's events, within the limits that hold for nodes."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > 2 * MAX_VALUES:
            raise _limit(depth, event.start_mark)
        yield event


def _limit(depth: int, mark: Any) -> LimitError:
    if depth > MAX_DEPTH:
        what = f"nested deeper than {MAX_DEPTH} levels"
        error = LimitError(problem=what, problem_mark=mark)
        error.advice = "keep deep data elsewhere and name it in the job's args"
        return error
    error = LimitError(problem=f"more than {MAX_VALUES:,} keys and values", problem_mark=mark)
    error.advice = "split it into several files"
    return error


class _Composer(yaml.CSafeLoader):
    """Composes nodes and never constructs objects; stops at what is too deep or too much."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Count a node before libyaml recurses into it."""
        self._depth += 1
        self._values += 1
        if self._depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise _limit(self._depth, None if current_node is None else current_node.start_mark)

    def ascend_resolver(self) -> None:
        """Leave a node."""
        self._depth -= 1

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Tell scalars without quotes from all other nodes; explicit tags never come here."""
        return PLAIN if kind is ScalarNode and implicit[0] else TEXT
