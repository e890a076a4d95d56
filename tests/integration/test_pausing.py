"""Operators pause and resume what is configured, and are told what keeps a job from running."""

import pytest

from rota.common.catalog import Catalog
from rota.common.errors import NotFound, Refused, UsageError
from rota.common.pauses import Pauses
from rota.common.store import Store
from rota.scheduler import history, pausing, trigger, trouble, why
from rota.scheduler.applier import Applier
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, HOUR_MS
from tests.support.definitions import config, job
from tests.support.schedulers import REF

JOBS = [
    job(cron="0 * * * *", pause_after_failures=2, fresh_within_ms=HOUR_MS),
    job("acme/export", every="1h"),
    job("beta/import", every="1h", fresh_within_ms=1),
]


async def applied(store: Store) -> None:
    """Have a configuration that was applied."""
    await Applier(store.link, command="test").apply(config(*JOBS), None)


async def die(store: Store, times: int) -> None:
    """Let runs die, one after the other."""
    await builders.register(store)
    for number in range(times):
        await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + number))
        await builders.complete(store, (await builders.claim(store)).runs[0], "dead")


async def test_pause(store: Store) -> None:
    """A tenant or a job is paused, once; who does so again is told who was first."""
    await applied(store)
    first = await pausing.pause("acme", "migration", store.link)
    again = await pausing.pause("acme", "other", store.link)
    one = await pausing.pause("beta/import", "", store.link)

    assert ("acme", 2, "migration", False) == (first.paused, first.jobs, first.why, first.already)
    assert ("migration", True, first.by) == (again.why, again.already, again.by)
    assert ("beta/import", 1) == (one.paused, one.jobs)


@pytest.mark.parametrize("name", ["acme/other", "gamma", "acm"])
async def test_unknown(store: Store, name: str) -> None:
    """What is not configured can't be paused, nor resumed: most likely it is misspelt."""
    await applied(store)
    for act in (pausing.pause(name, "", store.link), pausing.resume(name, store.link)):
        with pytest.raises(NotFound, match=f"{name} is configured"):
            await act


async def test_nothing_applied(store: Store) -> None:
    """On a store without a configuration there is nothing to pause."""
    with pytest.raises(NotFound, match="no tenant acme is configured"):
        await pausing.pause("acme", "", store.link)


@pytest.mark.parametrize("name", ["", "acme/", "/import", "acme/import/x", "acme import"])
def test_no_name(name: str) -> None:
    """What is no name is refused before the store is asked."""
    with pytest.raises(UsageError, match="neither TENANT nor TENANT/JOB"):
        pausing.check(name)


async def test_long_reason(store: Store) -> None:
    """A reason is short enough to be shown in a line."""
    with pytest.raises(UsageError, match="at most 200 characters"):
        await pausing.pause("acme", "x" * 201, store.link)


async def test_resume_what_is_gone(store: Store) -> None:
    """What was paused can be resumed also when it is no longer configured."""
    await Pauses(store.link).pause("gone/job", by="ann@ops", why="")

    assert (await pausing.resume("gone/job", store.link)).was_paused


async def test_resume(store: Store) -> None:
    """Of what stays paused by another name one is told; what is not paused is not resumed."""
    await applied(store)
    await pausing.pause("acme", "", store.link)
    with pytest.raises(Refused, match=f"{REF} is paused with all of acme, since .* resume acme"):
        await pausing.resume(REF, store.link)
    await pausing.pause(REF, "", store.link)
    tenant = await pausing.resume("acme", store.link)
    one = await pausing.resume(REF, store.link)
    nothing = await pausing.resume(REF, store.link)

    assert (True, [REF]) == (tenant.was_paused, tenant.still_paused)
    assert (True, []) == (one.was_paused, one.still_paused)
    assert (False, []) == (nothing.was_paused, nothing.breakers_closed)


@pytest.mark.parametrize("name", ["acme", REF])
async def test_resume_closes_breakers(store: Store, name: str) -> None:
    """To resume closes the breaker of a job, or of all jobs of a tenant."""
    await applied(store)
    await die(store, 2)
    before = (await trouble.find(store.link)).breakers
    done = await pausing.resume(name, store.link)

    assert [(REF, 2)] == [(row.job, row.failures) for row in before]
    assert [REF] == done.breakers_closed
    assert [] == (await trouble.find(store.link)).breakers


async def test_trouble(store: Store) -> None:
    """All that does not run as it should is found, of all tenants or of one."""
    await applied(store)
    await die(store, 2)
    await pausing.pause("acme", "migration", store.link)
    found = await trouble.find(store.link)
    mine = await trouble.find(store.link, "acme")

    assert [("acme", 2, "migration")] == [(row.paused, row.jobs, row.why) for row in found.paused]
    assert [REF] == [row.job for row in found.breakers]
    assert [("beta/import", None)] == [(row.job, row.last) for row in found.stale]
    assert ([REF], []) == ([row.job for row in mine.breakers], mine.stale)


async def test_told(store: Store) -> None:
    """Who asks why a job does not run is told what keeps it from running now."""
    await applied(store)
    await Catalog(store.link).publish(GROUP, JOBS)
    await die(store, 2)
    await pausing.pause("acme", "migration", store.link)
    each = await history.read_all(REF, store.link, DUE_MS)
    paused, unled, resting = each.trouble

    assert each.trouble == why.tell(each, None)[1:4]
    assert unled.startswith(f"no scheduler leads group {GROUP}: ")
    assert f"{REF} is paused with all of acme, since " in paused
    assert ": migration" in paused
    assert f"the breaker of {REF} is open: 2 runs in a row died, the last at " in resting


async def test_triggered(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Who triggers a paused job is told that it is paused, and it runs."""
    await applied(store)
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store)
    await pausing.pause(REF, "migration", store.link)
    run_id, _ = await trigger.start(REF, store.link, wait=False)
    (run,) = (await builders.claim(store)).runs

    assert run_id == run.job_id
    assert f"{REF} is paused, since" in capsys.readouterr().err
