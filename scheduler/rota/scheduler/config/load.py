"""From a file or a directory of files to a configuration, or to all that is wrong with it."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from rota.common.job import Job
from rota.common.limits import GroupLimits, TenantLimits
from rota.scheduler.config import document, resolve, review
from rota.scheduler.config.declaration import Declaration, Declarations
from rota.scheduler.config.diagnostic import MAX_PROBLEMS, InvalidConfig, Problem
from rota.scheduler.config.field import FieldError
from rota.scheduler.config.inspection import Inspection
from rota.scheduler.config.model import BUILT_IN
from rota.scheduler.config.reader import TooManyProblems
from rota.scheduler.config.resolve import Ground, JobSpecs

MAX_JOBS: Final = 500_000  # of one configuration; templates multiply what little text declares
_TOO_MANY_JOBS = f"with this tenant there are more than {MAX_JOBS:,} jobs"
_ENOUGH = "this is wrong, too; looking for more ends here"
_TEXT = "(text)"  # what problems name as the file of what is none
_SUFFIXES = (".yaml", ".yml")
_T = TypeVar("_T")


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A valid configuration, with every template and default applied."""

    groups: list[str]  # sorted; also those that have no tenant
    jobs: list[Job]  # ordered by tenant, then by name
    tenants: dict[str, str]  # tenant -> its group, ordered by tenant; also those without jobs
    files: list[str]  # the files that were read, sorted
    limits: dict[str, GroupLimits] = {}  # group -> its limits, its tenants' and the handlers'


def load(path: Path) -> Config:
    """Return the configuration in the file `path`, or in all YAML files below the directory `path`.

    Hidden files and directories are left out. Raises `InvalidConfig` with every problem of every
    file.
    """
    loading = _Loading()
    return loading.config(loading.read(path))[0]


def check(path: Path) -> tuple[Config, list[Problem]]:
    """Return the same, and as warnings what is written there in vain."""
    loading = _Loading()
    config, ground = loading.config(loading.read(path))
    return config, review.warnings(loading.declared, ground, config.jobs)


def of(source: Config | Path | str | Mapping[str, Any]) -> Config:
    """Return the configuration that is meant by `source`; raises `InvalidConfig`.

    That is a path; text, if it has a line break; or a mapping of what a file would hold.
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, Mapping):
        source = json.dumps(source, indent=2, ensure_ascii=False) + "\n"  # which is YAML, too
    if isinstance(source, str) and "\n" in source:
        loading = _Loading()
        loading.take(source, _TEXT)
        return loading.config([])[0]
    return load(Path(source))


class _Loading:
    """Resolves what the files declare; what is refused is inspected, and the rest goes on."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.declared = Declarations()
        self._groups: dict[str, GroupLimits] = {}
        self._tenants: dict[str, tuple[str, TenantLimits]] = {}  # tenant -> its group and limits

    def read(self, path: Path) -> list[str]:
        """Take in the declarations of all files below `path` and return the files' names."""
        files = self._below(path) if _is_directory(path) else [path]
        shown = sorted((_shown(file), file) for file in files)
        for name, file in shown:
            self.declared.add(document.read(file, name))
        self.problems += self.declared.problems
        return [name for name, _ in shown]

    def take(self, text: str, name: str) -> None:
        """Take in the declarations of a text, which problems are told of under this name."""
        read = document.Document(name, text)
        read.parse()
        self.declared.add(read)
        self.problems += self.declared.problems

    def config(self, files: list[str]) -> tuple[Config, Ground]:
        """Resolve all that was taken in, from these files, and what its tenants stand on."""
        ground = self.ground()
        jobs, tenants = self.tenants(ground)
        limits = self.limits(ground)
        if self.problems:
            raise InvalidConfig(self.problems)
        groups = sorted(ground.groups)
        return Config(groups=groups, jobs=jobs, tenants=tenants, files=files, limits=limits), ground

    def ground(self) -> Ground:
        """Resolve what tenants stand on: groups, defaults and templates."""
        defaults = BUILT_IN
        if place := self.declared.defaults:
            produce = partial(resolve.defaults, place.data)
            defaults = self._try(place, Ground(), produce, Inspection.defaults) or defaults
        ground = Ground(groups=frozenset(self.declared.groups), defaults=defaults)
        for name, place in self.declared.groups.items():
            produce_group = partial(resolve.group, place.data, defaults)
            group = self._try(place, ground, produce_group, Inspection.group)
            self._groups[name] = group or GroupLimits()
        templates: dict[str, JobSpecs] = {}
        for name, place in self.declared.templates.items():
            specs = self._try(
                place, ground, partial(resolve.template, place.data, ground), Inspection.template
            )
            if specs is not None:
                templates[name] = specs
        broken = frozenset(self.declared.templates.keys() - templates.keys())
        return msgspec.structs.replace(ground, templates=templates, broken=broken)

    def tenants(self, ground: Ground) -> tuple[list[Job], dict[str, str]]:
        """Resolve all tenants into their jobs and their groups."""
        jobs: list[Job] = []
        groups: dict[str, str] = {}
        for name, place in sorted(self.declared.tenants.items()):
            produce = partial(resolve.tenant, name, place.data, ground)
            resolved = self._try(place, ground, produce, Inspection.tenant)
            if resolved is not None:
                groups[name], own, limits = resolved
                self._tenants[name] = groups[name], limits
                jobs += own
            if len(jobs) > MAX_JOBS:
                raise InvalidConfig([*self.problems, place.problem(_TOO_MANY_JOBS)])
        return jobs, groups

    def limits(self, ground: Ground) -> dict[str, GroupLimits]:
        """Return the limits of each group, with those of its tenants and of all handlers."""
        handlers = {}
        for name, place in sorted(self.declared.handlers.items()):
            produce = partial(resolve.handler, place.data)
            if most := self._try(place, ground, produce, Inspection.handler):
                handlers[name] = most
        tenants: dict[str, dict[str, TenantLimits]] = {group: {} for group in self._groups}
        for name, (group, limits) in self._tenants.items():
            tenants[group][name] = limits
        return {
            group: msgspec.structs.replace(limits, tenants=tenants[group], handlers=handlers)
            for group, limits in self._groups.items()
        }

    def _try(
        self,
        place: Declaration,
        ground: Ground,
        produce: Callable[[], _T],
        inspect: Callable[[Inspection], None],
    ) -> _T | None:
        try:
            return produce()
        except (FieldError, msgspec.ValidationError) as error:
            self._inspect(place, ground, inspect, str(error))
            return None

    def _inspect(
        self,
        place: Declaration,
        ground: Ground,
        inspect: Callable[[Inspection], None],
        refusal: str,
    ) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            raise InvalidConfig([*self.problems, place.problem(_ENOUGH)])
        inspection = Inspection(place, ground, complete=self.declared.complete)
        with suppress(TooManyProblems):
            inspect(inspection)
        self.problems += inspection.problems
        if not self.problems:  # refused all the same: the fast way and the slow one differ
            self.problems.append(place.problem(f"refused: {refusal}"))

    def _below(self, directory: Path) -> list[Path]:
        files: list[Path] = []
        for root, directories, names in os.walk(directory, onerror=self._unreadable):
            directories[:] = [name for name in directories if not name.startswith(".")]
            files += [
                Path(root, name)
                for name in names
                if name.endswith(_SUFFIXES) and not name.startswith(".")
            ]
        if not files and not self.problems:
            message = "the directory holds no YAML files"
            advice = "a configuration is one file, or a directory of *.yaml and *.yml files"
            self.problems.append(Problem(file=_shown(directory), message=message, help=advice))
        return files

    def _unreadable(self, error: OSError) -> None:
        self.declared.complete = False
        message = f"the directory can't be read: {error.strerror}"
        self.problems.append(Problem(file=_shown(error.filename), message=message))


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # reading it will tell what is wrong
        return False


def _shown(path: Path | str) -> str:
    """Return a path as text that every terminal and JSON take, also where it is not UTF-8."""
    return str(path).encode(errors="replace").decode()
