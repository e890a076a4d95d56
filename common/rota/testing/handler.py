"""Handlers called alone, and handlers that are all called in the test's own process."""

import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import msgspec

from rota.common import message
from rota.common.errors import NotFound
from rota.worker.context import Context
from rota.worker.invoke import encode_result, invoke
from rota.worker.registry import Handler, Jobs


class Inline(Jobs):
    """The handlers of `jobs`; those for child processes are called in a thread, or on the loop."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @cached_property
    def _inline(self) -> dict[str, Handler]:
        return {name: _inline(handler) for name, handler in self._jobs.handlers.items()}

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by name."""
        return self._inline


async def call(jobs: Jobs, handler: str, ctx: Context, /, **args: Any) -> Any:
    """Return what the handler of this name returns for these arguments, called as a worker would.

    So they are checked against its type hints, and what it returns can be sent. A planner returns
    the list of its specs. Raises what the handler raises, `BadArguments`, `BadResult`, `NotFound`.
    """
    known = Inline(jobs).handlers
    if handler not in known:
        raise NotFound(f"no handler is named {handler}; there are {', '.join(sorted(known))}")
    found = known[handler]
    kwargs = found.arguments.decode(message.encode(args))
    if found.tasks:
        specs = found.function(ctx, **kwargs)
        return [each async for each in specs] if found.isolation == "loop" else list(specs)
    with ThreadPoolExecutor(1, thread_name_prefix="handler") as threads:
        result = await invoke(found, ctx, kwargs, threads)
    encode_result(result)
    return result


def _inline(handler: Handler) -> Handler:
    if handler.isolation != "process":
        return handler
    bodies = (handler.function, getattr(handler.function, "__call__", None))  # noqa: B004 - its body
    on_loop = any(inspect.iscoroutinefunction(body) for body in bodies)
    return msgspec.structs.replace(handler, isolation="loop" if on_loop else "thread")
