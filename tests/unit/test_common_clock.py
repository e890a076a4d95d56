"""Moments, the ids that are made of them, and the rest between attempts."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.common import backoff, clock, names
from rota.common.clock import Clock, SystemClock
from rota.common.job import Job, Retry, Schedule, job_id
from tests.support import builders

MS = st.integers(0, 4_000_000_000_000)


def test_system_clock() -> None:
    """The machine's clock gives this moment in milliseconds, and a time that never goes back."""
    system = SystemClock()
    before, first = datetime.now(UTC), system.monotonic()  # noqa: TID251 - what it is held against
    now, second = system.now_ms(), system.monotonic()

    assert abs(before - clock.utc(now)) < timedelta(seconds=5)
    assert second >= first


def test_clock_of_the_tests() -> None:
    """The tests' clock moves when it is told to, and its two times move together."""
    fake = builders.Clock()
    as_clock: Clock = fake
    before = as_clock.now_ms(), as_clock.monotonic()
    fake.advance(1.5)
    advanced = as_clock.now_ms(), as_clock.monotonic()
    fake.step(-60_000)

    assert (before[0] + 1_500, before[1] + 1.5) == advanced
    assert (advanced[0] - 60_000, advanced[1]) == (as_clock.now_ms(), as_clock.monotonic())


@given(MS)
def test_moments_there_and_back(ms: int) -> None:
    """A moment is the same to the millisecond, as a number and as a date."""
    assert ms == clock.epoch_ms(clock.utc(ms))
    assert clock.utc(ms).tzinfo is UTC


def test_other_zones() -> None:
    """A moment in another zone is the same moment."""
    moment = datetime(2026, 11, 23, 3, 0, tzinfo=timezone(timedelta(hours=1)))

    assert "2026-11-23T02:00:00Z" == clock.iso(clock.epoch_ms(moment))


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_795_399_200_000, "2026-11-23T02:00:00Z"),
        (1_795_399_200_007, "2026-11-23T02:00:00.007Z"),
    ],
)
def test_iso(ms: int, text: str) -> None:
    """A moment is written in UTC, with milliseconds only where there are any."""
    assert text == clock.iso(ms)


@pytest.mark.parametrize(
    ("due_ms", "manual", "text"),
    [
        (1_795_399_200_000, False, "acme/import:20261123T020000Z"),
        (1_795_399_200_007, False, "acme/import:20261123T020000.007Z"),
        (1_795_399_200_007, True, "acme/import:manual-20261123T020000.007Z"),
    ],
)
def test_job_id(due_ms: int, manual: bool, text: str) -> None:
    """The id of a run tells job and occurrence, and whether somebody triggered it."""
    assert text == job_id("acme/import", due_ms, manual=manual)


@given(MS, MS)
def test_job_ids_differ_as_occurrences_do(one: int, other: int) -> None:
    """The same occurrence always has the same id; two occurrences never share one."""
    ids = {job_id("a/b", one), job_id("a/b", other), job_id("a/b", one, manual=True)}

    assert len({one, other}) + 1 == len(ids)


@given(MS)
def test_job_is_readable_from_its_id(due_ms: int) -> None:
    """What stands before the colon of an id is the reference of the job."""
    job = Job(tenant="acme", name="x.y", group="g", handler="h", schedule=Schedule(kind="every"))

    assert ("acme", "x.y") == names.split_ref(job_id(job.ref, due_ms).partition(":")[0])


def rests(retry: Retry, attempt: int) -> list[int]:
    """Return many rests after one attempt."""
    random = Random(7)
    return [backoff.rest_ms(retry, attempt, random) for _ in range(200)]


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1_000), (2, 2_000), (4, 8_000), (5, 9_000)])
def test_rest_doubles(attempt: int, ceiling: int) -> None:
    """The rest doubles with each attempt up to its limit; its upper half is left to chance."""
    found = rests(Retry(backoff_ms=1_000, max_backoff_ms=9_000), attempt)

    assert ceiling // 2 <= min(found) < max(found) <= ceiling
    assert max(found) - min(found) > ceiling // 4


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 10**9), st.integers(0, 2**32))
def test_rest_is_never_out_of_bounds(first: int, longest: int, attempt: int, seed: int) -> None:
    """However many attempts there are, the rest is a time between nothing and its limit."""
    rest = backoff.rest_ms(Retry(backoff_ms=first, max_backoff_ms=longest), attempt, Random(seed))

    assert 0 < rest <= longest
