"""A running group that follows a change does what one that starts with the result does."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.common import keys
from rota.common.job import Blackout, Job
from rota.common.store import Store
from rota.scheduler import applied
from rota.scheduler.applied import Applied, timing
from tests.support import builders
from tests.support.builders import GROUP
from tests.support.definitions import config, job
from tests.support.led import Rig

DAY_MS = 86_400_000
REFS = [f"t{n}/j" for n in range(5)]
NOW_MS = 4_000_000_000_000
SCHEDULES: list[dict[str, Any]] = [
    {"every": "1h"},
    {"every": "7d", "phase_ms": 0},
    {"after": "5m"},
    {"after": "3d"},
    {"cron": "0 3 * * *"},
    {"cron": "*/10 * * * *", "timezone": "Asia/Kathmandu"},
    {"between": "02:00..04:00"},
    {"at": "2999-01-01 00:00"},
    {"every": "1h", "blackouts": (Blackout(between="08:00..18:00"),)},
]
JOBS = st.dictionaries(
    st.sampled_from(REFS), st.tuples(st.sampled_from(SCHEDULES), st.integers(0, 2)), max_size=5
)
SLOTS = st.dictionaries(
    st.sampled_from(REFS), st.tuples(st.integers(0, 5 * DAY_MS), st.booleans()), max_size=5
)


def jobs_of(chosen: dict[str, tuple[dict[str, Any], int]]) -> list[Job]:
    """Return the jobs of a choice; the number changes something that is not their timing."""
    return [job(ref, args={"n": n}, **when) for ref, (when, n) in chosen.items()]


async def remember(store: Store, slots: dict[str, tuple[int, bool]]) -> None:
    """Let the store know of each job when it was due last, and whether that run is under way."""
    await store.link.command("FLUSHALL")
    for ref, (ago_ms, running) in slots.items():
        fields = ["due", NOW_MS - ago_ms, "ended", NOW_MS - ago_ms + 1]
        fields += ["run", f"{ref}:manual"] if running else []
        await store.link.command("HSET", keys.slot(GROUP, ref), *fields)


async def outcome(rig: Rig, *steps: Applied) -> list[dict[str, int | None]]:
    """Return when each job is due next: after the start with the first, and after each further."""
    await rig.follow(steps[0])
    await rig.led.begin()
    found = [rig.due()]
    for step in steps[1:]:
        await rig.follow(step)
        found.append(rig.due())
    await rig.close()
    return found


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(old=JOBS, new=JOBS, slots=SLOTS)
def test_following_is_starting_anew(
    runner: asyncio.Runner,
    store: Store,
    old: dict[str, tuple[dict[str, Any], int]],
    new: dict[str, tuple[dict[str, Any], int]],
    slots: dict[str, tuple[int, bool]],
) -> None:
    """After a change each job is due when it would be after a start; unchanged ones as before."""
    clock = builders.Clock(NOW_MS)
    before = applied.first(config(*jobs_of(old)), NOW_MS - 2 * DAY_MS)
    after = before.followed_by(config(*jobs_of(new)), NOW_MS - 2_000)

    async def both() -> tuple[list[dict[str, int | None]], dict[str, int | None]]:
        await remember(store, slots)
        follows = await outcome(Rig(store, clock), before, after)
        await remember(store, slots)
        (anew,) = await outcome(Rig(store, clock), after)
        return follows, anew

    (kept, followed), anew = runner.run(both())
    timings = {job.ref: timing(job) for job in before.config.jobs}
    same = {job.ref for job in after.config.jobs if timings.get(job.ref) == timing(job)}

    assert {ref: kept[ref] if ref in same else anew[ref] for ref in anew} == followed
