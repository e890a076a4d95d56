"""Shards of skewed sizes: their items are planned in several ways, and each is done by a pause.

Two files tell what became of them: one byte for each item, how often it was done, and for each
place of each worker the seconds for which it was at work.
"""

import asyncio
import mmap
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rota.common.clock import SystemClock
from rota.worker import Context, Jobs, TaskSpec

FOLDER = Path(os.environ["BENCH_FOLDER"])
PLACES = int(os.environ["BENCH_PLACES"])  # of one worker
ITEM_S = float(os.environ["BENCH_ITEM_S"])
OPEN_S = float(os.environ["BENCH_OPEN_S"])  # what each task takes before its first item

jobs = Jobs()
_clock = SystemClock()


class Part(msgspec.Struct):
    """Some items of one shard."""

    start: int
    stop: int


def _number() -> int:
    """Return which worker this is, from 0 on."""
    for number in range(1_000):
        try:
            (FOLDER / f"worker-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise LookupError("so many workers?")


def _words(name: str) -> memoryview:
    with (FOLDER / name).open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 0))


_first = _number() * PLACES
_free = deque(range(_first, _first + PLACES))  # the place that is free the longest in front
_done = _words("done")
_busy = _words("busy").cast("d")


@jobs.planner("shards.dealt", tasks="shards.do")
def dealt(_: Context, sizes: list[int], places: int) -> Iterator[TaskSpec]:
    """Deal the shards out beforehand, one after the other, to all places there are."""
    for number, part in enumerate(_shards(sizes)):
        size = part["stop"] - part["start"]
        yield TaskSpec(key=f"place-{number % places}", size=size, args=part)


@jobs.planner("shards.whole", tasks="shards.do")
def whole(_: Context, sizes: list[int], places: int) -> Iterator[TaskSpec]:
    """Yield each shard."""
    for number, part in enumerate(_shards(sizes)):
        yield TaskSpec(key=f"shard-{number}", size=part["stop"] - part["start"], args=part)


@jobs.planner("shards.items", tasks="shards.do")
def items(_: Context, sizes: list[int], places: int) -> Iterator[TaskSpec]:
    """Yield each item."""
    for number, part in enumerate(_shards(sizes)):
        for item in range(part["start"], part["stop"]):
            yield TaskSpec(key=f"shard-{number}", args={"start": item, "stop": item + 1})


@jobs.handler("shards.do")
async def do(_: Context, parts: list[Part]) -> None:
    """Do items, and count them."""
    place, begun_at = _free.popleft(), _clock.monotonic()
    await asyncio.sleep(OPEN_S + ITEM_S * sum(part.stop - part.start for part in parts))
    for part in parts:
        for item in range(part.start, part.stop):
            _done[item] += 1
    _busy[place] += _clock.monotonic() - begun_at
    _free.append(place)


def _shards(sizes: list[int]) -> Iterator[dict[str, int]]:
    start = 0
    for size in sizes:
        yield {"start": start, "stop": start + size}
        start += size
