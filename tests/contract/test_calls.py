"""Calls in the store: in time or not at all, each with one end, whose reply can't get lost."""

import pytest

from rota.common import keys
from rota.common.calling import Calling
from rota.common.intervention import Intervention
from rota.common.state import State
from rota.common.store import LEASE_MS, Store
from tests.support import backup, builders
from tests.support.builders import GROUP, HOUR_MS, WORKER
from tests.support.called import INBOX, REF, SOON_MS, begin, call, end, replies
from tests.support.clusters import Cluster, group_on
from tests.support.topologies import opened


async def test_placed_once(store: Store) -> None:
    """However often a call is sent, it is accepted once, in flight and behind its end."""
    calling = Calling(store)
    words = await calling.place(GROUP, [call(1), call(2), call(1)])
    first, _ = await begin(store, call(1), call(2))
    await end(store, first)

    assert ["queued", "queued", "duplicate"] == words
    assert ["past", "duplicate"] == await calling.place(GROUP, [call(1), call(2)])


async def test_replied_to(store: Store) -> None:
    """The reply is in the inbox in the moment in which the call is over, however it ended."""
    good, bad = await begin(store, call(1), call(2))
    await end(store, good, result=b"\x07")
    await end(store, bad, "dead")
    told = {reply.job_id: reply for reply in await replies(store)}

    assert ("succeeded", b"\x07") == (told[good.job_id].completion.outcome, b"\x07")
    assert b"\x07" == told[good.job_id].result
    assert "dead" == told[bad.job_id].completion.outcome


async def test_no_noise(store: Store) -> None:
    """Calls are told to nobody else: neither those that listen for jobs, nor as dead letters."""
    good, bad = await begin(store, call(1), call(2))
    await end(store, good)
    await end(store, bad, "dead")

    assert 0 == await store.link.command("XLEN", keys.done(GROUP))
    assert 0 == await store.link.command("ZCARD", keys.dead(GROUP))


async def test_unheard_failure(store: Store) -> None:
    """A call that failed and that nobody waits for is a dead letter, which can be tried again."""
    (run,) = await begin(store, call(inbox="", timeout_ms=0))
    await end(store, run, "dead")
    letters = await store.link.command("ZCARD", keys.dead(GROUP))
    word, _ = await Intervention(store).replay(GROUP, run.job_id)
    (again,) = (await builders.claim(store)).runs

    assert (1, "queued", run.body) == (letters, word, again.body)
    assert "completed" == await end(store, again)


@pytest.mark.parametrize("inbox", [INBOX, ""])
async def test_small_when_it_is_over(store: Store, inbox: str) -> None:
    """Of a call that is over its end alone is kept: there may be very many."""
    (run,) = await begin(store, call(inbox=inbox))
    await end(store, run, "succeeded")
    fields = await store.link.command("HKEYS", keys.run(GROUP, run.job_id))

    assert {b"state", b"completion", b"result", b"fence"} == set(fields)


async def test_told_again(store: Store) -> None:
    """Who comes back is told of what has ended, and gets the replies to what has not."""
    calling = Calling(store)
    first, second = await begin(store, call(1, inbox="gone"), call(2, inbox="gone"))
    await end(store, first, result=b"\x07")
    ids = [first.job_id, second.job_id, f"{REF}:call-3"]
    found = await calling.attend(GROUP, INBOX, ids, 1)
    await end(store, second)

    assert [(ids[0], b"\x07")] == [(reply.job_id, reply.result) for reply in found.replies]
    assert ([ids[1]], [ids[2]]) == (found.waiting, found.unknown)
    assert [ids[1]] == [reply.job_id for reply in await replies(store)]


async def test_forgone(store: Store) -> None:
    """What nobody waits for any more does not begin; the worker of what runs is told to end it."""
    (running,) = await begin(store, call(1))
    await Calling(store).place(GROUP, [call(2)])
    await Calling(store).forgo(GROUP, INBOX, [running.job_id, call(2).job_id])
    token = await store.link.command("LPOP", keys.control(GROUP, WORKER))

    assert f"{running.fence} {running.job_id}".encode() == token
    assert [] == (await builders.claim(store)).runs
    assert State.CANCELLED is await builders.state_of(store, call(2).job_id)


@pytest.mark.parametrize("first", [INBOX, "c2"])
async def test_wanted_elsewhere(store: Store, first: str) -> None:
    """Who gives up ends no call that somebody else waits for; the last one who does ends it."""
    (run,) = await begin(store, call())
    calling = Calling(store)
    await calling.attend(GROUP, "c2", [run.job_id], 1)
    await calling.forgo(GROUP, first, [run.job_id] * 2)
    still = await store.link.command("EXISTS", keys.control(GROUP, WORKER))
    await calling.forgo(GROUP, "c2" if first == INBOX else INBOX, [run.job_id])

    assert (0, 1) == (still, await store.link.command("EXISTS", keys.control(GROUP, WORKER)))


async def test_heard_by_all(store: Store) -> None:
    """Everybody who waits for a call gets its reply, the four who came last at least."""
    (run,) = await begin(store, call())
    calling = Calling(store)
    for inbox in ("c2", "c3", INBOX, "c4", "c5", "c5"):
        await calling.attend(GROUP, inbox, [run.job_id], 1)
    await end(store, run)
    heard = {inbox: len(await replies(store, inbox)) for inbox in ("c2", "c3", INBOX, "c4", "c5")}

    assert {"c2": 0, "c3": 1, INBOX: 1, "c4": 1, "c5": 1} == heard


async def test_no_call(store: Store) -> None:
    """Who asks for a run that is no call learns nothing of it, and leaves no trace on it."""
    await builders.enqueue(store, builders.occurrence())
    before = await builders.snapshot(store, virtual=False)
    found = await Calling(store).attend(GROUP, INBOX, [builders.occurrence().job_id], 1)

    assert [builders.occurrence().job_id] == found.unknown
    assert before == await builders.snapshot(store, virtual=False)


async def test_worker_lost(store: Store) -> None:
    """A call whose worker dies is answered when its lease is over; a late report is nothing."""
    (run,) = await begin(store, call())
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)
    (reply,) = await replies(store)
    await end(store, run)

    assert reply.completion.error is not None
    assert "WorkerLost" == reply.completion.error.kind
    assert State.DEAD is await builders.state_of(store, run.job_id)


async def test_report_sent_twice(store: Store) -> None:
    """A report whose answer was lost is accepted again, whichever call has ended since."""
    first, second = await begin(store, call(1), call(2))
    words = [await end(store, run) for run in (first, second, first)]

    assert ["completed"] * 3 == words
    assert 2 == len(await replies(store))


async def test_lost_writes(store: Store) -> None:
    """A store that lost a call takes its end from the worker, for who asks again."""
    await builders.register(store)
    saved = await backup.take(store.link)
    (run,) = await begin(store, call())
    await backup.put_back(store.link, saved)
    await builders.change_server(store)
    before = await Calling(store).attend(GROUP, INBOX, [run.job_id], 1)
    word = await end(store, run, result=b"\x07")
    after = await Calling(store).attend(GROUP, INBOX, [run.job_id], 1)

    assert ([run.job_id], []) == (before.waiting, before.unknown)
    assert ("completed", [b"\x07"]) == (word, [reply.result for reply in after.replies])


async def test_full_inbox(store: Store) -> None:
    """Of replies that nobody fetches few are whole; the records tell of the others."""
    (run,) = await begin(store, call())
    inbox = keys.inbox(GROUP, INBOX)
    await store.link.command("RPUSH", inbox, *([b""] * 3_000))
    await end(store, run, result=b"\x07")

    assert [run.job_id.encode(), b"", b""] == await store.link.command("LRANGE", inbox, -3, -1)


@pytest.mark.parametrize("timeout_ms", [SOON_MS, 0])
async def test_bounded_in_time(store: Store, timeout_ms: int) -> None:
    """A call goes when its reply was kept for so long, and one that nobody claims goes, too."""
    (run,) = await begin(store, call(1, timeout_ms=timeout_ms))
    held = await store.link.command("PTTL", keys.run(GROUP, run.job_id))
    await end(store, run)
    await Calling(store).place(GROUP, [call(2)])
    kept, waiting = [
        await store.link.command("PTTL", keys.run(GROUP, call(n).job_id)) for n in (1, 2)
    ]

    assert held == -1
    assert 0 < kept <= HOUR_MS
    assert 0 < waiting <= HOUR_MS + 4 * SOON_MS
    assert 0 < await store.link.command("PTTL", keys.inbox(GROUP, INBOX)) <= 60_000


async def test_in_a_cluster(cluster: Cluster) -> None:
    """In a cluster the calls of each group, and the inbox for their replies, are on one server."""
    groups = [group_on(0), group_on(1)]
    async with opened(cluster.url) as store:
        await builders.register(store, groups=tuple(groups))
        for group in groups:
            await Calling(store).place(group, [call()])
            (run,) = (await builders.claim(store, group=group)).runs
            assert "completed" == await end(store, run, result=b"\x07")
        found = [await Calling(store).replies(group, INBOX) for group in groups]

    assert [b"\x07", b"\x07"] == [reply.result for told, _ in found for reply in told]


async def test_late_report(store: Store) -> None:
    """A worker whose call was taken back is told that its report was not accepted."""
    (run,) = await begin(store, call())
    await builders.shift(store, LEASE_MS)
    await store.sweep(GROUP)

    assert "stale" == await end(store, run)
