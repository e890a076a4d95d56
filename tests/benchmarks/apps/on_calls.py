"""A handler that does nothing, for callers."""

from rota.worker import Context, Jobs

jobs = Jobs()


@jobs.handler("echo")
async def echo(_: Context, number: int) -> int:
    """Return what it is told."""
    return number
