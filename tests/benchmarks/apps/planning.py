"""A planner of so many specs, whose tasks nobody does."""

from collections.abc import AsyncIterator

from rota.worker import Context, Jobs, TaskSpec

jobs = Jobs()


@jobs.planner("planning.plan", tasks="planning.nobody")
async def plan(_: Context, count: int) -> AsyncIterator[TaskSpec]:
    """Yield specs of a hundred keys."""
    for number in range(count):
        yield TaskSpec(key=f"key-{number % 100}", args={"number": number})
