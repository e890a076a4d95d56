import functools
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.common.errors import UsageError
from rota.worker import Context, Jobs, TaskSpec
from rota.worker.arguments import HandlerError
from rota.worker.registry import load_app

APP = """
from rota.worker import Jobs
jobs = Jobs()
jobs.handler("a")(lambda ctx: None)
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return a function that writes a module into the working directory."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)

    def write(name: str, source: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def handler_error(function: Any, name: str = "a.b", **options: Any) -> str:
    """Return why `function` can't be registered."""
    with pytest.raises(HandlerError) as caught:
        Jobs().handler(name, **options)(function)
    return str(caught.value)


def usage_error(target: str) -> str:
    """Return why `target` can't be loaded."""
    with pytest.raises(UsageError) as caught:
        load_app(target)
    return str(caught.value)


def test_register() -> None:
    """A registered function is found by its name and stays what it was, its type included."""
    jobs = Jobs()

    @jobs.handler("orders.count")
    def count(ctx: Context, source: str) -> int:
        return len(source)

    same: Callable[[Context, str], int] = count  # for the type checker
    handler = jobs.handlers["orders.count"]

    assert same is handler.function
    assert ["orders.count"] == list(jobs.handlers)
    assert handler.where.startswith(f"{__file__}:")


def test_isolation() -> None:
    """Async functions run on the loop, others in threads, and either in a process if asked."""

    class Importer:
        async def __call__(self, ctx: Context) -> None: ...

    async def on_loop(ctx: Context) -> None: ...

    jobs = Jobs()
    jobs.handler("loop")(on_loop)
    jobs.handler("partial")(functools.partial(on_loop))
    jobs.handler("object")(Importer())
    jobs.handler("thread")(lambda ctx: None)
    jobs.handler("process", isolation="process")(on_loop)
    jobs.handler("process.sync", isolation="process")(lambda ctx: None)

    found = {name: handler.isolation for name, handler in jobs.handlers.items()}
    assert {
        "loop": "loop",
        "partial": "loop",
        "object": "loop",
        "thread": "thread",
        "process": "process",
        "process.sync": "process",
    } == found


def test_info() -> None:
    """What a worker publishes of a handler is its name, isolation and argument schema."""
    jobs = Jobs()

    @jobs.handler("orders.import")
    async def import_orders(ctx: Context, source: str) -> None: ...

    info = jobs.handlers["orders.import"].info()
    assert ("orders.import", "loop") == (info.name, info.isolation)
    assert ["source"] == info.schema["required"]


def test_duplicate() -> None:
    """A name that is taken is refused, with both places; the first stays."""
    jobs = Jobs()
    first = jobs.handler("a.b")(lambda ctx: 1)
    with pytest.raises(HandlerError) as caught:
        jobs.handler("a.b")(lambda ctx: 2)

    assert 2 == str(caught.value).count(f"{__file__}:")
    assert first is jobs.handlers["a.b"].function


def test_include() -> None:
    """A collection takes over another's handlers; one that both have is fine, two are not."""
    shared, billing, jobs = Jobs(), Jobs(), Jobs()
    shared.handler("shared")(lambda ctx: None)
    billing.handler("billing")(lambda ctx: None)
    billing.include(shared)
    jobs.include(billing)
    jobs.include(shared)
    other = Jobs()
    other.handler("billing")(lambda ctx: None)

    assert ["billing", "shared"] == list(jobs.handlers)
    with pytest.raises(HandlerError, match="two handlers are named 'billing'"):
        jobs.include(other)


def test_bad_handlers() -> None:
    """What can't be a handler is refused when it is registered, saying where and why."""

    async def stream(ctx: Context) -> AsyncIterator[int]:
        yield 1

    def no_context() -> None: ...

    assert "handler name 'a b': it must match" in handler_error(lambda ctx: 0, "a b")
    assert "handler name" in handler_error(lambda ctx: 0, lambda ctx: 0)  # type: ignore[arg-type]
    assert "isolation is 'auto' or 'process'" in handler_error(lambda ctx: 0, isolation="thread")
    assert "is not a function" in handler_error("orders.import")
    assert "it yields" in handler_error(stream)
    told = handler_error(no_context)
    assert f"handler 'a.b' at {__file__}:" in told
    assert "first parameter must be the context" in told


def test_load(app: Callable[[str, str], None]) -> None:
    """A module in the working directory is found, with the one `Jobs` in it or the one named."""
    app("one.py", f"{APP}again = jobs\n")
    app("pkg/__init__.py", "")
    app("pkg/two.py", f"{APP}class box:\n    inner = Jobs()\n    inner.include(jobs)\n")

    assert load_app("one") is sys.modules["one"].jobs
    assert load_app("pkg.two") is load_app("pkg.two:jobs")
    assert load_app("pkg.two:box.inner") is sys.modules["pkg.two"].box.inner


def test_load_before_installed(app: Callable[[str, str], None]) -> None:
    """The working directory comes before what is installed."""
    app("this.py", APP)  # Python has a module of that name

    assert load_app("this") is sys.modules["this"].jobs


def test_load_ambiguous(app: Callable[[str, str], None]) -> None:
    """Several collections in one module are told apart by naming one."""
    app("several.py", "from rota.worker import Jobs\na = Jobs()\nb = Jobs()\n")
    app("none.py", "")
    app("empty.py", "from rota.worker import Jobs\njobs = Jobs()\n")

    assert "name one: several:a or several:b" in usage_error("several")
    assert "registers no handler" in usage_error("empty")
    assert "holds no rota.worker.Jobs" in usage_error("none")
    assert "several:c is no rota.worker.Jobs" in usage_error("several:c")
    assert "several:__name__ is no rota.worker.Jobs" in usage_error("several:__name__")


def test_load_absent(app: Callable[[str, str], None]) -> None:
    """A module that is not there is told apart from one that fails when it is imported."""
    app("pkg/__init__.py", "")
    app("broken.py", "\nimport absent_library\n")
    app("failing.py", "def start():\n    raise RuntimeError('no licence')\n\nstart()\n")
    app("refused.py", f"{APP}jobs.handler('b')(lambda: None)\n")
    app("leaving.py", "import sys\nsys.exit('bye')\n")
    app("syntax.py", "def (:\n")

    assert "there is no module 'absent' in" in usage_error("absent")
    assert "there is no module 'absent' in" in usage_error("absent.jobs")
    assert "there is no module 'pkg.jobs' in" in usage_error("pkg.jobs")
    broken = usage_error("broken")
    assert "'broken' was found, but importing it failed: ModuleNotFoundError" in broken
    assert "broken.py:2" in broken
    failing = usage_error("failing")
    assert "RuntimeError: no licence" in failing
    assert "failing.py:2" in failing
    assert usage_error("refused").startswith("app 'refused': handler 'b' at ")
    assert "SystemExit: bye" in usage_error("leaving")
    assert "SyntaxError" in usage_error("syntax")


@pytest.mark.parametrize("target", ["", "a b", "jobs.py", "./jobs", ":jobs", "jobs:", "a..b", "1"])
def test_load_malformed(target: str) -> None:
    """A target that is no module name is refused before anything is imported."""
    assert "expected MODULE or MODULE:NAME" in usage_error(target)


def test_load_file_name() -> None:
    """Who gives a file is told the module's name."""
    assert "such as jobs" in usage_error("app/jobs.py")


def planner_error(function: Any, tasks: Any = "a.part") -> str:
    """Return why `function` can't be registered as a planner."""
    with pytest.raises(HandlerError) as caught:
        Jobs().planner("a.plan", tasks=tasks)(function)
    return str(caught.value)


def test_planners() -> None:
    """A generator may be a planner, async or not; it names the handler of its tasks."""
    jobs = Jobs()

    @jobs.planner("a.plan", tasks="a.part")
    async def plan(ctx: Context, count: int) -> AsyncIterator[TaskSpec]:
        yield TaskSpec()

    @jobs.planner("b.plan", tasks="b.part")
    def plan_in_thread(ctx: Context) -> Iterator[TaskSpec]:
        yield TaskSpec()

    infos = [handler.info() for handler in jobs.handlers.values()]

    assert [("loop", "a.part"), ("thread", "b.part")] == [(i.isolation, i.tasks) for i in infos]
    assert ["count"] == infos[0].schema["required"]


def test_no_planners() -> None:
    """What yields nothing, or names no handler for its tasks, is no planner."""

    def stream(ctx: Context) -> Iterator[TaskSpec]:
        yield TaskSpec()

    assert "it must yield TaskSpecs" in planner_error(lambda ctx: [])
    assert "must name the handler of its tasks" in planner_error(stream, tasks="")
    assert "its first parameter" in planner_error(_without_context)


def test_no_planner_in_a_child_process() -> None:
    """A planner that asks for a child process is refused when it is registered, and told why."""
    with pytest.raises(HandlerError, match=r"'a.plan': no planner runs in a child process"):
        Jobs().planner("a.plan", tasks="a.part", isolation="process")(_without_context)


def _without_context() -> Iterator[TaskSpec]:
    yield TaskSpec()


class Service:
    """Two handlers and what is none."""

    def load(self, ctx: Context, source: str) -> None:
        """Load."""

    async def cancel(self, ctx: Context) -> None:
        """Cancel."""

    def _own(self) -> None:
        """Be no handler."""


def test_service() -> None:
    """Each public method of a service is a handler, on the loop if async, else in a thread."""
    jobs = Jobs()
    jobs.service("orders", Service())
    isolations = {name: handler.isolation for name, handler in jobs.handlers.items()}

    assert {"orders.load": "thread", "orders.cancel": "loop"} == isolations
    with pytest.raises(HandlerError, match="no public methods"):
        jobs.service("orders", object())
