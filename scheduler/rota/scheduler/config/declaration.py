"""What all files of a configuration declare together: every name once, with the place it has."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from yaml.nodes import Node

from rota.scheduler.config import field
from rota.scheduler.config.diagnostic import MAX_PROBLEMS, Problem, quoted
from rota.scheduler.config.document import Document

SECTIONS: Final = ("defaults", "templates", "groups", "handlers", "tenants")


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of one section in one file."""

    document: Document
    path: tuple[str, ...]  # the section and the name, or the section alone for defaults
    data: Any  # plain data, unchecked

    @property
    def name(self) -> str:
        """Return the name that is declared."""
        return self.path[-1]

    def nodes(self) -> tuple[Node, Node]:
        """Return the nodes of the name and of what it stands for."""
        return self.document.find(self.path)

    def problem(self, message: str, *, advice: str = "") -> Problem:
        """Return a problem at the name."""
        return self.document.problem(self.nodes()[0], message, advice=advice)


class Declarations:
    """The sections of all files, merged."""

    def __init__(self) -> None:
        self.defaults: Declaration | None = None
        self.templates: dict[str, Declaration] = {}
        self.groups: dict[str, Declaration] = {}
        self.handlers: dict[str, Declaration] = {}
        self.tenants: dict[str, Declaration] = {}
        self.problems: list[Problem] = []
        self.complete = True  # whether every file could be read, so that what is absent is unknown

    def add(self, document: Document) -> None:
        """Take in what one file declares, and what is wrong with the outline of it."""
        self.problems += document.problems
        if not document.readable:
            self.complete = False
        elif not isinstance(document.data, dict):
            self.complete = False
            self.problems.append(_no_sections(document))
        else:
            for section, data in document.data.items():
                if len(self.problems) < MAX_PROBLEMS:
                    self._add_section(document, section, data)

    def _add_section(self, document: Document, section: str, data: Any) -> None:
        place = Declaration(document=document, path=(section,), data=data)
        if section not in SECTIONS:
            advice = field.did_you_mean(section, SECTIONS)
            self.complete = self.complete and not advice
            known = f"a file holds {', '.join(SECTIONS)}"
            self.problems.append(
                place.problem(f"unknown section {quoted(section)}", advice=advice or known)
            )
        elif not isinstance(data, dict):
            message = f"expected a mapping, got {field.kind(data)}"
            self.problems.append(document.problem(place.nodes()[1], message))
            self.complete = False
        elif section == "defaults":
            self._add_defaults(place)
        else:
            self._add_names(getattr(self, section), place)

    def _add_defaults(self, place: Declaration) -> None:
        if self.defaults is not None:
            self.problems.append(_twice(self.defaults, place, "the defaults are"))
        else:
            self.defaults = place

    def _add_names(self, known: dict[str, Declaration], section: Declaration) -> None:
        for place in _entries(section):
            first = known.setdefault(place.name, place)
            if first is not place:
                what = f"{section.name[:-1]} {quoted(place.name)} is"
                self.problems.append(_twice(first, place, what))
                continue
            try:
                (field.handler if section.name == "handlers" else field.name)(place.name)
            except field.FieldError as error:
                self.problems.append(place.problem(str(error), advice=error.advice))


def _entries(section: Declaration) -> Iterator[Declaration]:
    for name, data in section.data.items():
        yield Declaration(document=section.document, path=(section.name, name), data=data)


def _twice(first: Declaration, second: Declaration, what: str) -> Problem:
    line = first.nodes()[0].start_mark.line + 1
    return second.problem(
        f"{what} declared twice", advice=f"first declared in {first.document.file}:{line}"
    )


def _no_sections(document: Document) -> Problem:
    if document.data is None:
        return Problem(
            file=document.file,
            message="the file is empty",
            help=f"delete it, or let it hold some of {', '.join(SECTIONS)}",
        )
    message = f"expected a mapping, got {field.kind(document.data)}"
    return document.problem(document.root, message, advice=f"a file holds {', '.join(SECTIONS)}")
