"""The handlers that a user registered, by name, and where they are loaded from."""

import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal, TypeVar

import msgspec

from rota.common import names
from rota.common.errors import UsageError
from rota.common.worker_info import HandlerInfo
from rota.worker.arguments import Arguments, HandlerError

Function = TypeVar("Function", bound=Callable[..., Any])
Isolation = Literal["loop", "thread", "process"]

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")
_IMPORT_ERRORS = (Exception, SystemExit)  # whatever a module may raise when it is imported
_IMPORTERS = (__file__, importlib.__file__)  # where no mistake of the user's is


class Handler(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A function that jobs may name."""

    name: str
    function: Callable[..., Any]  # called with the context and the arguments by name
    isolation: Isolation  # on the event loop, in a thread, or in a child process
    arguments: Arguments
    where: str  # FILE:LINE of the function
    tasks: str = ""  # the handler of the tasks that it plans; empty for one that is no planner

    def info(self) -> HandlerInfo:
        """Return what the worker tells others about this handler."""
        schema = self.arguments.schema()
        return HandlerInfo(
            name=self.name, isolation=self.isolation, schema=schema, tasks=self.tasks
        )


class Jobs:
    """A collection of handlers. A worker serves one; larger ones are put together by `include`.

    jobs = Jobs()

    @jobs.handler("orders.import")
    async def import_orders(ctx: Context, source: str, limit: int = 100) -> dict[str, int]: ...
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by name."""
        return MappingProxyType(self._handlers)

    def handler(
        self, name: str, *, isolation: Literal["auto", "process"] = "auto"
    ) -> Callable[[Function], Function]:
        """Register the decorated function under `name`, and leave it as it is.

        An async function runs on the event loop, any other in a thread, and either in a child
        process with `isolation="process"`. Raises `HandlerError` saying what is wrong with it.
        """

        def register(function: Function) -> Function:
            self._add(_handler(name, function, isolation))
            return function

        return register

    def planner(
        self, name: str, *, tasks: str, isolation: str = "auto"
    ) -> Callable[[Function], Function]:
        """Register the decorated generator under `name`: it yields a `TaskSpec` for each piece.

        `tasks` names the handler that is called for each task, with `parts`: the args of the specs
        that it is made of. `isolation` can only be `auto`: an async generator runs on the event
        loop, any other in a thread. Raises `HandlerError` saying what is wrong with it.
        """

        def register(function: Function) -> Function:
            self._add(_planner(name, function, tasks, isolation))
            return function

        return register

    def service(self, name: str, implementation: object) -> None:
        """Register the public methods of `implementation`, each as the handler `NAME.METHOD`.

        Each takes the context first, as any handler. Callers see them by a contract: a class or
        Protocol with the same methods without it. Raises `HandlerError` saying what is wrong.
        """
        methods = inspect.getmembers(implementation, inspect.ismethod)
        public = [(key, method) for key, method in methods if not key.startswith("_")]
        if not public:
            raise HandlerError(f"service {name!r}: {implementation!r} has no public methods")
        for key, method in public:
            self._add(_handler(f"{name}.{key}", method, "auto"))

    def include(self, other: "Jobs") -> None:
        """Take over all handlers of `other`; raises `HandlerError` if a name is taken."""
        for handler in other.handlers.values():
            self._add(handler)

    def _add(self, handler: Handler) -> None:
        taken = self._handlers.setdefault(handler.name, handler)
        if taken is not handler:
            raise HandlerError(
                f"two handlers are named {handler.name!r}: at {taken.where} and {handler.where}"
            )


def load_app(target: str) -> Jobs:
    """Import what the operator named, `package.module` or `package.module:attribute`.

    The working directory comes first. Without an attribute the module must hold one `Jobs`.
    Raises `UsageError` that tells a module that isn't there from one that fails.
    """
    if not _TARGET.fullmatch(target) or target.endswith(".py"):
        hint = f", such as {Path(target).stem}" if target.endswith(".py") else ""
        raise UsageError(f"app {target!r}: expected MODULE or MODULE:NAME{hint}")
    module_name, _, attribute = target.partition(":")
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    module = _import(module_name, here)
    jobs = _named(module, attribute) if attribute else _only(module)
    if not jobs.handlers:
        raise UsageError(f"app {target!r} registers no handler: @jobs.handler(NAME)")
    return jobs


def _named_well(name: object) -> str:
    if not isinstance(name, str) or not names.is_handler(name):
        raise HandlerError(f"handler name {name!r}: it must match {names.HANDLER_PATTERN}")
    return name


def _handler(name: str, function: Any, isolation: str) -> Handler:
    name = _named_well(name)
    if isolation not in ("auto", "process"):
        raise HandlerError(f"handler {name!r}: isolation is 'auto' or 'process', not {isolation!r}")
    if not callable(function):
        raise HandlerError(f"handler {name!r}: {function!r} is not a function")
    where = _where(function)
    try:
        kind: Isolation = "loop" if _is_async(function) else "thread"
        arguments = Arguments(function, name)
    except HandlerError as error:
        raise HandlerError(f"handler {name!r} at {where}: {error}") from error
    return Handler(
        name=name,
        function=function,
        isolation="process" if isolation == "process" else kind,
        arguments=arguments,
        where=where,
    )


def _planner(name: str, function: Any, tasks: str, isolation: str) -> Handler:
    if isolation != "auto":
        raise HandlerError(
            f"planner {name!r}: no planner runs in a child process (isolation={isolation!r}): one"
            " that is not async runs in a thread; the handler of its tasks may run in one"
        )
    if not isinstance(tasks, str) or not names.is_handler(tasks):
        raise HandlerError(f"planner {name!r}: tasks={tasks!r} must name the handler of its tasks")
    where = _where(function)
    is_async = inspect.isasyncgenfunction(function)
    if not is_async and not inspect.isgeneratorfunction(function):
        raise HandlerError(f"planner {name!r} at {where}: it must yield TaskSpecs")
    try:
        arguments = Arguments(function, name)
    except HandlerError as error:
        raise HandlerError(f"planner {name!r} at {where}: {error}") from error
    return Handler(
        name=_named_well(name),
        function=function,
        isolation="loop" if is_async else "thread",
        arguments=arguments,
        where=where,
        tasks=tasks,
    )


def _is_async(function: Any) -> bool:
    call = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004 - its body
    for part in (function, call):
        if inspect.isgeneratorfunction(part) or inspect.isasyncgenfunction(part):
            raise HandlerError(
                "it yields; a handler returns its result, a planner is @jobs.planner"
            )
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _where(function: Any) -> str:
    function = inspect.unwrap(function)
    function = getattr(function, "func", function)  # of a partial
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _import(name: str, here: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"app {name!r}: there is no module {error.name!r} in {here} or on PYTHONPATH"
            ) from None
        raise _failed(name, here, error) from error
    except _IMPORT_ERRORS as error:
        raise _failed(name, here, error) from error


def _failed(name: str, here: str, error: BaseException) -> UsageError:
    if isinstance(error, HandlerError):
        return UsageError(f"app {name!r}: {error}")  # it says where itself
    text = error.msg if isinstance(error, SyntaxError) else error
    return UsageError(
        f"app {name!r} was found, but importing it failed: {type(error).__name__}: {text}"
        f"{_place(error, here)}"
    )


def _place(error: BaseException, here: str) -> str:
    """Return where importing failed, and what there is in the user's own files that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        (frame.filename, frame.lineno)
        for frame in frames
        if frame.filename not in _IMPORTERS and not frame.filename.startswith("<frozen ")
    ]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    if not places:
        return ""
    own = [place for place in places if place[0].startswith(f"{here}{os.sep}")]
    file, line = places[-1]
    by = f", by way of {own[-1][0]}:{own[-1][1]}" if own and own[-1] != places[-1] else ""
    return f" (at {file}:{line}{by})"


def _named(module: ModuleType, attribute: str) -> Jobs:
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Jobs):
        raise UsageError(f"app: {module.__name__}:{attribute} is no rota.worker.Jobs")
    return found


def _only(module: ModuleType) -> Jobs:
    found = {id(v): (k, v) for k, v in reversed(vars(module).items()) if isinstance(v, Jobs)}
    if not found:
        raise UsageError(f"app {module.__name__!r} holds no rota.worker.Jobs: `jobs = Jobs()`")
    if len(found) > 1:
        options = " or ".join(sorted(f"{module.__name__}:{k}" for k, _ in found.values()))
        raise UsageError(f"app {module.__name__!r} holds several Jobs; name one: {options}")
    return next(iter(found.values()))[1]
