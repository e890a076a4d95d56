"""Cuts what a handler works through into lists, from some position on, without holding it all."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from rota.common.service import give_way

_T = TypeVar("_T")
_AT_ONCE = 1_000  # items that are passed over before others on the loop have their turn

Stream = Iterable[_T] | AsyncIterable[_T]
Source = Stream[_T] | Callable[[int], Stream[_T]]  # or what returns the items from a position on


def chunks(source: Source[_T], position: int, size: int) -> Iterator[list[_T]]:
    """Yield the items behind the first `position`, `size` at a time."""
    items, position = _opened(source, position)
    if isinstance(items, AsyncIterable):
        raise TypeError("the items are an async iterable: write `async for unit in ctx.units(...)`")
    if isinstance(items, Sequence):
        for start in range(position, len(items), size):
            yield list(items[start : start + size])
        return
    iterator = iter(items)
    next(islice(iterator, position, position), None)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def async_chunks(source: Source[_T], position: int, size: int) -> AsyncIterator[list[_T]]:
    """Yield the same on an event loop."""
    items, position = _opened(source, position)
    if not isinstance(items, AsyncIterable):
        if not isinstance(items, Sequence):
            items = iter(items)
            for _ in range(0, position - _AT_ONCE, _AT_ONCE):
                next(islice(items, _AT_ONCE, _AT_ONCE), None)
                position -= _AT_ONCE
                await give_way()
        for chunk in chunks(items, position, size):
            yield chunk
        return
    chunk = []
    async for item in items:
        if position > 0:
            position -= 1
            continue
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _opened(source: Source[_T], position: int) -> tuple[Stream[_T], int]:
    if isinstance(source, Iterable | AsyncIterable):
        return source, position
    return source(position), 0
