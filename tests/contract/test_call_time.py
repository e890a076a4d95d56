"""The time of a call: it travels with it, and what can't be in time is not carried out."""

import pytest

from rota.common import keys
from rota.common.calling import Calling
from rota.common.ledger import Attempts, Ledger, Outcome
from rota.common.message import Failure
from rota.common.run import Ended
from rota.common.store import LEASE_MS, Store
from tests.support import builders
from tests.support.builders import GROUP, HANDLER, WORKER
from tests.support.called import INBOX, REF, SOON_MS, begin, call, end, replies


async def test_expired(store: Store) -> None:
    """A call that is claimed too late is not carried out; that is its reply, and in the ledger."""
    await builders.register(store)
    await Calling(store).place(GROUP, [call(1), call(2, timeout_ms=0)])
    await builders.shift(store, SOON_MS)
    runs = (await builders.claim(store, 2)).runs
    (reply,) = await replies(store)
    (entry,) = await Ledger(store.link).of(GROUP, REF, 0)

    assert [call(2).job_id] == [run.job_id for run in runs]
    assert reply.completion.error is not None
    assert ("cancelled", "Expired") == (reply.completion.outcome, reply.completion.error.kind)
    assert isinstance(entry, Attempts)
    assert (Outcome.EXPIRED, call(1).job_id) == (entry.outcome, entry.job_id)


async def test_no_attempt_too_late(store: Store) -> None:
    """A call whose next attempt would come too late ends with the failure that it has."""
    (run,) = await begin(store, call(attempts=3))
    word = await builders.retry(store, run, SOON_MS)
    (reply,) = await replies(store)

    assert ("retrying", "dead") == (word, reply.completion.outcome)
    assert "retrying" == await builders.retry(store, run, SOON_MS)


async def test_told_to_its_worker(store: Store) -> None:
    """Who claims a call is told how much of its time is left; nothing is known of other runs."""
    await builders.register(store)
    await Calling(store).place(GROUP, [call(1)])
    await builders.enqueue(store, builders.occurrence("beta"))
    await builders.shift(store, 10_000)
    left = {run.job_id: run.left_ms for run in (await builders.claim(store, 2)).runs}

    assert 0 < left.pop(call(1).job_id) <= SOON_MS - 10_000
    assert [0] == list(left.values())


async def test_expired_while_nobody_claims(store: Store) -> None:
    """However many calls waited until it was too late: who comes then executes none of them."""
    await Calling(store).place(GROUP, [call(n) for n in range(100)])
    await builders.shift(store, SOON_MS)
    await builders.register(store)
    found = [await builders.claim(store, 1) for _ in range(4)]

    assert [] == [run for claim in found for run in claim.runs]
    assert [True, True, True, False] == [claim.more for claim in found]
    assert {"Expired"} == {
        reply.completion.error.kind for reply in await replies(store) if reply.completion.error
    }


async def test_expired_while_nobody_serves_it(store: Store) -> None:
    """A call that waits for somebody who serves its handler is not executed too late."""
    await builders.register(store, "other", "mail.send")
    await Calling(store).place(GROUP, [call()])
    await builders.claim(store, 1, "other")
    held = await store.link.command("LLEN", keys.hold(GROUP, HANDLER))
    await builders.shift(store, SOON_MS)
    await builders.register(store)

    assert 1 == held
    assert [] == (await builders.claim(store)).runs
    assert ["cancelled"] == [reply.completion.outcome for reply in await replies(store)]


@pytest.mark.parametrize("way", ["retry", "release", "rescue"])
async def test_expired_before_it_is_tried_again(store: Store, way: str) -> None:
    """However a call came back to its queue, no other attempt begins too late."""
    (run,) = await begin(store, call(attempts=3))
    if way == "retry":
        await builders.retry(store, run, 10)
    elif way == "release":
        await store.release([run])
    await builders.shift(store, SOON_MS)
    await store.sweep(GROUP)

    assert [] == (await builders.claim(store)).runs
    assert ["Expired"] == [
        reply.completion.error.kind for reply in await replies(store) if reply.completion.error
    ]


async def test_called_again(store: Store) -> None:
    """Who makes the same call again gives it the time that it has itself, if that is more."""
    calling = Calling(store)
    await calling.place(GROUP, [call(1), call(2), call(3)])
    await builders.shift(store, SOON_MS // 2)
    again = [call(1), call(2, timeout_ms=5), call(3, timeout_ms=0)]
    words = await calling.place(GROUP, again)
    await builders.shift(store, SOON_MS // 2 + 1)
    runs = (await begin(store, call(4)), (await builders.claim(store, 3)).runs)

    assert ["duplicate"] * 3 == words
    assert {call(n).job_id for n in (1, 3, 4)} == {run.job_id for some in runs for run in some}


async def test_given_up_and_called_again(store: Store) -> None:
    """A call that nobody waited for any more is carried out if somebody makes it again in time."""
    await Calling(store).place(GROUP, [call()])
    await Calling(store).forgo(GROUP, INBOX, [call().job_id])
    (run,) = await begin(store, call())

    assert "completed" == await end(store, run)


@pytest.mark.parametrize("way", ["waiting", "begun", "given up"])
async def test_time_of_another(store: Store, way: str) -> None:
    """A call that ended with its caller's time, begun or not, begins anew when it is made again."""
    calling = Calling(store)
    if way == "waiting":
        await calling.place(GROUP, [call()])
        await builders.register(store)
        await builders.shift(store, SOON_MS)
        await builders.claim(store)
    else:
        (run,) = await begin(store, call())
        if way == "given up":
            await calling.forgo(GROUP, INBOX, [run.job_id])
        error = Failure(kind="Expired" if way == "begun" else "Cancelled")
        body = builders.completion(run, "cancelled", beside=True, error=error)
        await store.exchange(WORKER, [Ended(run, "cancelled", body, b"")], [], {})
    (entry,) = await Ledger(store.link).of(GROUP, REF, 0)
    words = await calling.place(GROUP, [call()])
    (anew,) = (await builders.claim(store)).runs

    assert isinstance(entry, Attempts)
    assert ["Expired"] == [kind for kind, _ in entry.errors]
    assert (["queued"], 1) == (words, anew.attempt)
    assert way == "waiting" or "stale" == await end(store, run)
    assert "completed" == await end(store, anew)
    assert ["past"] == await calling.place(GROUP, [call()])


@pytest.mark.parametrize("outcome", ["succeeded", "dead", "cancelled"])
async def test_real_end(store: Store, outcome: str) -> None:
    """A call that has a result, has failed or was cancelled by hand is not carried out again."""
    (run,) = await begin(store, call())
    kind = "Cancelled" if outcome == "cancelled" else "Expired"
    error = None if outcome == "succeeded" else Failure(kind=kind)
    body = builders.completion(run, outcome, beside=True, error=error)
    await store.exchange(WORKER, [Ended(run, outcome, body, b"")], [], {})

    assert ["past"] == await Calling(store).place(GROUP, [call()])


@pytest.mark.parametrize("served", ["mail.send", HANDLER], ids=["unserved", "unclaimed"])
async def test_no_litter(store: Store, served: str) -> None:
    """Where nobody serves what is called, no list grows for ever with calls that have gone."""
    await builders.register(store, "other", served)
    for number in range(20):
        await Calling(store).place(GROUP, [call(number)])
        if served != HANDLER:
            await builders.claim(store, 1, "other")
        await store.link.command("DEL", keys.run(GROUP, call(number - 5).job_id))
    name = keys.queue(GROUP, "acme") if served == HANDLER else keys.hold(GROUP, HANDLER)

    assert 5 <= await store.link.command("LLEN", name) <= 7


async def test_lease_outlives_its_time(store: Store) -> None:
    """A call that is carried out when its time is over is still its worker's to end."""
    (run,) = await begin(store, call(timeout_ms=5_000))
    await builders.shift(store, LEASE_MS - 1_000)

    assert ([], []) == await store.renew([run])
    assert "completed" == await end(store, run)
