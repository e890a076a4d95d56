"""A coroutine whose first step was made by hand, as many need no more than that.

try:
    waits_for = coroutine.send(None)
except StopIteration as end:
    return end.value  # it waited for nothing: no timer was needed, and no task of its own
return await steps.rest(coroutine, waits_for)
"""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine as awaitable
from typing import Any, TypeVar

_T = TypeVar("_T")


def _at_once(step: Callable[[Any], Any], value: Any) -> Any:
    return step(value)


@awaitable
def rest(
    coroutine: Coroutine[Any, Any, _T],
    waits_for: Any,
    run: Callable[[Callable[[Any], Any], Any], Any] = _at_once,
) -> Generator[Any, Any, _T]:
    """Return what `coroutine` returns, that waits for what its first step yielded.

    Each further step is made by `run`, such as that of a `contextvars.Context`.
    """
    while True:
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's, whatever it is
            step, value = coroutine.throw, error
        try:
            waits_for = run(step, value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
