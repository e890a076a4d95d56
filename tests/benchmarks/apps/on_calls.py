"""Handlers that do nothing, for callers."""

from collections import Counter

from rota.worker import Context, Jobs

jobs = Jobs()
_made = Counter[int]()


@jobs.handler("echo")
async def echo(_: Context, number: int) -> int:
    """Return what it is told."""
    return number


@jobs.handler("count")
async def count(_: Context, number: int) -> int:
    """Do the same and count it."""
    _made[number] += 1
    return number


@jobs.handler("made")
async def made(_: Context) -> tuple[int, int]:
    """Return how many numbers were counted, and how often in all."""
    return len(_made), _made.total()
