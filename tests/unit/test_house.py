"""The rules of the house that CONTRIBUTING.md states, and papers that must agree with the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.core
import typer.main

import rota.common  # for the namespace: one path for each part, or one for all
from rota.common.errors import RotaError
from rota.common.state import TRANSITIONS
from rota.scheduler import cli as scheduler_cli
from rota.worker import cli as worker_cli

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = [Path(path) for path in rota.__path__]
IN_CHECKOUT = (ROOT / "scheduler").is_dir()  # the tests also run away from the source
README = (ROOT / "README.md").read_text()
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "misc", "base", "common"}
LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 40  # lines, with its signature and docstring
TOO_LONG = {  # FILE, or FILE:FUNCTION; may only shrink
    "scheduler/daemon.py:__init__",  # these two put a process together: a line for each part,
    "worker/daemon.py:__init__",  # and nothing to decide
}
MAY_SLEEP = {"service.py", "embedded.py"}
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


class Source(NamedTuple):
    """One Python file of ours."""

    path: Path
    name: str  # within the namespace, such as worker/cli.py
    text: str
    tree: ast.Module


def read(root: Path) -> list[Source]:
    """Return the Python files under a folder."""
    paths = [path for path in sorted(root.rglob("*.py")) if "__pycache__" not in path.parts]
    texts = [(path, path.read_text()) for path in paths]
    return [Source(p, p.relative_to(root).as_posix(), t, ast.parse(t)) for p, t in texts]


SOURCES = [source for part in PARTS for source in read(part)]


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods of a file."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls(source: Source) -> Iterator[ast.Call]:
    """Yield the calls in a file."""
    yield from (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def imported(source: Source) -> set[str]:
    """Return the top-level names of the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def called_name(call: ast.Call) -> str:
    """Return the last name of what is called, `sleep` for `time.sleep(1)`."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def too_long(source: Source) -> set[str]:
    """Return the file, if it is too long, and its functions that are."""
    found = {source.name} if source.text.count("\n") > LONGEST_FILE else set()
    for function in functions(source):
        assert function.end_lineno is not None
        if function.end_lineno - function.lineno + 1 > LONGEST_FUNCTION:
            found.add(f"{source.name}:{function.name}")
    return found


def logged(source: Source) -> list[ast.expr | None]:
    """Return the first argument of each call that logs an event."""
    found: list[ast.expr | None] = []
    for call in calls(source):
        if called_name(call) in LOG_METHODS and isinstance(call.func, ast.Attribute):
            name = ast.unparse(call.func.value).rpartition(".")[2].lstrip("_")
            if name in {"log", "logger"}:
                found.append(call.args[0] if call.args else None)
    return found


def test_all_parts_are_read() -> None:
    """The rules are held against all three parts."""
    names = {source.name for source in SOURCES}

    assert {"common/store.py", "scheduler/engine.py", "worker/runner.py"} <= names


def test_the_namespace_is_no_package() -> None:
    """`rota` has no module of its own, so that its parts can lie in several places."""
    assert [] == [part for part in PARTS if (part / "__init__.py").exists()]


def test_files_and_functions_are_short() -> None:
    """No file and no function is longer than a reader bears; the exceptions may only shrink."""
    found = {name for source in SOURCES for name in too_long(source)}

    assert sorted(TOO_LONG) == sorted(found)


def test_modules_are_named_for_a_noun() -> None:
    """No module has a name that fits anything."""
    assert [] == [s.name for s in SOURCES if s.path.stem in FORBIDDEN_NAMES]


def test_only_services_sleep() -> None:
    """Nobody waits for time to pass but the loop of all services, and the start of a server."""
    sleepers = {s.path.name for s in SOURCES for call in calls(s) if called_name(call) == "sleep"}

    assert sleepers <= MAY_SLEEP


@pytest.mark.parametrize("module", ["pickle", "shelve", "marshal", "dill"])
def test_nothing_is_unpickled(module: str) -> None:
    """No module can turn bytes from a store into code."""
    assert [] == [source.name for source in SOURCES if module in imported(source)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_log_events_are_names(source: Source) -> None:
    """What is logged is a name that can be searched for; all else is in fields."""
    events = logged(source)

    assert all(isinstance(event, ast.Constant) for event in events)
    assert [] == [
        event.value
        for event in events
        if isinstance(event, ast.Constant)
        and not re.fullmatch(r"[a-z]+(_[a-z]+)*", str(event.value))
    ]


def test_log_events_are_found() -> None:
    """The rule on log events looks at the many that there are."""
    assert sum(len(logged(source)) for source in SOURCES) > 20


def test_every_test_states_its_promise() -> None:
    """Each test has a docstring that is a sentence."""
    silent = [
        f"{source.name}:{function.name}"
        for source in read(ROOT / "tests")
        for function in functions(source)
        if function.name.startswith("test_")
        and source.path.name.startswith("test_")
        and not (ast.get_docstring(function) or "").partition("\n")[0].endswith((".", ":"))
    ]

    assert [] == silent


@pytest.mark.skipif(not IN_CHECKOUT, reason="the page lies beside the source")
def test_the_picture_of_the_states_is_right() -> None:
    """The diagram in common/README.md shows exactly the moves in `state.TRANSITIONS`."""
    page = (ROOT / "common" / "README.md").read_text()
    diagram = re.search(r"```mermaid\n(.*?)```", page, re.DOTALL)
    assert diagram is not None
    drawn = re.findall(r"^ +(\S+) --> (\S+): (\S+)$", diagram[1], re.MULTILINE)
    lines = [line for line in diagram[1].splitlines() if line.strip() != "stateDiagram-v2"]
    moves = [
        (before or "[*]", after, operation)
        for (before, operation), states in TRANSITIONS.items()
        for after in states
    ]

    assert len(lines) == len(drawn)
    assert sorted((str(b), str(a), str(o)) for b, a, o in moves) == sorted(drawn)


def commands(name: str, app: typer.Typer) -> set[str]:
    """Return the commands of one program, with its name."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {f"{name} {command}" for command in group.commands}


def section(title: str) -> str:
    """Return one section of the README."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_readme_names_every_command() -> None:
    """The README's list of commands is the list of commands."""
    listed = re.findall(r"^(sched|worker) ([a-z]+)\b", section("Commands"), re.MULTILINE)
    programs = {"sched": scheduler_cli.app, "worker": worker_cli.app}

    assert sorted({f"{program} {name}" for program, name in listed}) == sorted(
        set().union(*(commands(name, app) for name, app in programs.items()))
    )
    assert len(listed) == len(set(listed))


def exit_codes(kind: type[RotaError] = RotaError) -> set[int]:
    """Return the exit codes of our errors."""
    return {kind.exit_code}.union(*(exit_codes(below) for below in kind.__subclasses__()))


@pytest.mark.parametrize(
    "text", [README, str(scheduler_cli.app.info.epilog)], ids=["README", "sched --help"]
)
def test_exit_codes_are_all_told(text: str) -> None:
    """Every exit code that an error may have is explained, and no other is."""
    sentence = re.search(r"Exit codes: (.*?)\.", text)
    assert sentence is not None
    told = {int(code) for code in re.findall(r"(\d+) [a-z]", sentence[1])}

    assert {0} | exit_codes() == told


def test_exit_codes_of_worker_are_told() -> None:
    """`worker --help` explains some of the exit codes in the words of `sched --help`."""
    texts = [str(app.info.epilog) for app in (scheduler_cli.app, worker_cli.app)]
    sched, worker = (set(re.findall(r"\d [a-z ]+", text)) for text in texts)

    assert {"0 ok", "1 unexpected", "2 usage", "4 store unreachable", "6 refused"} == worker
    assert worker <= sched


class TestTheRulesThemselves:
    """The rules above find what they are there to find."""

    @staticmethod
    def source(text: str) -> Source:
        """Return a file with this text."""
        return Source(Path("x.py"), "x.py", text, ast.parse(text))

    def test_long_functions_are_found(self) -> None:
        """A function of 41 lines is too long, one of 40 is not; so for files of 301 and 300."""
        body = "    pass\n" * 39
        text = f"def short():\n{body}\nasync def long():\n{body}    pass\n"

        assert {"x.py:long"} == too_long(self.source(text))
        assert {"x.py"} == too_long(self.source("\n" * 301))
        assert set() == too_long(self.source("\n" * 300))

    @pytest.mark.parametrize(
        "call", ["log.info(f'x')", "self._log.warning(text)", "ctx.log.debug()"]
    )
    def test_events_without_a_name_are_found(self, call: str) -> None:
        """An event that is put together, handed in or left out is no name."""
        (event,) = logged(self.source(call))

        assert not isinstance(event, ast.Constant)

    def test_hidden_imports_are_found(self) -> None:
        """An import within a function, or of a part of a module, is an import."""
        assert {"os", "pickle"} == imported(
            self.source("from os import path\ndef f():\n    import pickle")
        )
