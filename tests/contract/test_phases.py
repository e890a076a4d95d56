"""Phases: the steps of one run, each of which begins when the last one is over."""

import msgspec
import pytest

from rota.common import keys, message
from rota.common.dead_letters import DeadLetters
from rota.common.intervention import Intervention
from rota.common.job import Phase, Retry
from rota.common.ledger import Attempts, Ledger
from rota.common.message import FailedTask
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders, fans
from tests.support.builders import GROUP, HOUR_MS
from tests.support.fans import LATER, MEND


async def handler(store: Store) -> tuple[str, int, int]:
    """Claim; return handler, phase and attempt of the only run there is."""
    (held,) = await fans.claim_all(store)
    request = message.decode_request(held.body)
    return request.handler, request.phase, held.attempt


async def test_phases_follow_each_other(store: Store) -> None:
    """One phase's success queues the run for the next one, whose attempts are counted anew."""
    held = await fans.begin(store, phases=(LATER,))

    assert "completed" == await fans.advance(store, held)
    assert State.QUEUED == await builders.state_of(store, held.job_id)
    (again,) = await fans.claim_all(store)
    request = message.decode_request(again.body)
    assert (LATER.handler, 2, 1) == (request.handler, request.phase, again.attempt)
    assert LATER.retry == request.retry
    assert "completed" == await fans.advance(store, again)
    assert "succeeded" == await fans.outcome(store)


async def test_phase_follows_the_last_task(store: Store) -> None:
    """A phase that fans out is over with its last task."""
    await fans.fan_out(store, 2, phases=(LATER,))
    for each in await fans.claim_all(store):
        await builders.complete(store, each)

    assert (LATER.handler, 2, 1) == await handler(store)


async def test_two_fan_outs(store: Store) -> None:
    """Each phase of a run may have tasks of its own."""
    await fans.fan_out(store, 2, phases=(LATER,))
    for each in await fans.claim_all(store):
        await builders.complete(store, each)
    (held,) = await fans.claim_all(store)
    await fans.plan(store, held, fans.tasks(3))
    await fans.advance(store, held, 3)
    ended = await fans.end_all(store)

    assert {f"{held.job_id}#2.{n}" for n in (1, 2, 3)} == set(ended)
    assert "succeeded" == await fans.outcome(store)


async def test_report_again(store: Store) -> None:
    """The report that a phase succeeded, sent again, moves nothing."""
    held = await fans.begin(store, phases=(LATER, LATER))
    await fans.advance(store, held)

    assert "completed" == await fans.advance(store, held)
    assert (LATER.handler, 2, 1) == await handler(store)


async def test_stale_report(store: Store) -> None:
    """A worker that lost its lease can't move the run to its next phase."""
    held = await fans.begin(store, phases=(LATER,))
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)

    assert "stale" == await fans.advance(store, held)


async def test_failure_handler(store: Store) -> None:
    """A phase that fails for good queues the run for its failure handler, and then it is dead."""
    held = await fans.begin(store, phases=(LATER,), on_failure=MEND)
    await builders.complete(store, held, "dead")
    (mending,) = await fans.claim_all(store)

    assert MEND.handler == message.decode_request(mending.body).handler
    await fans.advance(store, mending)
    assert State.DEAD == await builders.state_of(store, held.job_id)


async def test_failure_handler_is_told_what_failed(store: Store) -> None:
    """It is told the phase, its handler and the error; of tasks how many, and the first ones."""
    held = await fans.fan_out(store, 40, on_failure=MEND, args=msgspec.Raw(b"\x81\xa1a\x05"))
    for each in await fans.claim_all(store, 12):
        error = message.Failure(kind="Broken", message="no paper\nno ink")
        told = builders.completion(each, "dead", error=error)
        ended = builders.ended(each, "dead")._replace(completion=told)
        await store.exchange(builders.WORKER, [ended], [], {})
    while runs := await fans.claim_all(store):
        if runs[0].job_id == held.job_id:
            break
        for each in runs:
            await builders.complete(store, each)
    request = message.decode_request(runs[0].body)
    first = FailedTask(f"{held.job_id}#1.29", "key", "Broken", "no paper")

    assert (MEND.handler, 2, b"\x81\xa1a\x05") == (
        request.handler,
        request.phase,
        bytes(request.args),
    )
    assert request.failure
    assert (1, builders.HANDLER, "TasksFailed", "12 of 40 tasks are dead", 40, 12) == (
        *msgspec.structs.astuple(request.failure)[:-1],
    )
    assert (first, 10) == (request.failure.tasks[0], len(request.failure.tasks))


async def test_failure_handler_is_told_of_one_call(store: Store) -> None:
    """So it is where a phase without tasks has failed, in each of its own attempts."""
    retry = Retry(attempts=2)
    mend = Phase(handler=MEND.handler, retry=retry)
    held = await fans.begin(store, phases=(LATER,), on_failure=mend)
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    await builders.complete(store, second, "dead")
    (mending,) = await fans.claim_all(store)
    await builders.retry(store, mending)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    await builders.register(store, builders.WORKER, MEND.handler)
    (again,) = await fans.claim_all(store)
    told = [message.decode_request(each.body).failure for each in (mending, again)]

    assert 2 == again.attempt
    assert told == 2 * [message.PhaseFailure(2, LATER.handler, "", "")]


async def test_failure_is_known_to_the_worker(store: Store) -> None:
    """A run whose store has lost it while its failure handler ran is dead for what it failed of.

    A replay goes on with the phase that failed.
    """
    held = await fans.begin(store, phases=(LATER,), on_failure=MEND)
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    body = builders.completion(second, "dead", error=message.Failure(kind="First"))
    ended = builders.ended(second, "dead")._replace(completion=body)
    await store.exchange(builders.WORKER, [ended], [], {})
    (mending,) = await fans.claim_all(store)
    await store.link.command("FLUSHALL")
    await fans.advance(store, mending)
    told = await store.link.command("HGET", keys.run(GROUP, held.job_id), "completion")
    await builders.close_gate(store)

    assert message.Failure(kind="First") == message.decode_completion(told).error
    await builders.register(store, builders.WORKER, LATER.handler)
    assert ("queued", held.job_id) == await Intervention(store).replay(GROUP, held.job_id)
    assert (LATER.handler, 2, 1) == await handler(store)


async def test_dead_letter_names_what_failed(store: Store) -> None:
    """A dead letter tells the phase that failed, not the handler that was called behind."""
    later = msgspec.structs.replace(LATER, args={"n": 1})
    held = await fans.begin(store, phases=(later,), on_failure=MEND)
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    await builders.complete(store, second, "dead")
    (mending,) = await fans.claim_all(store)
    await fans.advance(store, mending)
    (letter,) = await DeadLetters(store.link).of(GROUP)
    request = await DeadLetters(store.link).request(letter)

    assert (2, LATER.handler, {"n": 1}) == (
        request["phase"],
        request["handler"],
        request["args"],
    )


async def test_failure_handler_that_fails(store: Store) -> None:
    """A failure handler is no reason to call itself; the run is dead for its first error."""
    held = await fans.begin(store, on_failure=MEND)
    body = builders.completion(held, "dead", error=message.Failure(kind="First"))
    await store.exchange(
        builders.WORKER, [builders.ended(held, "dead")._replace(completion=body)], [], {}
    )
    (mending,) = await fans.claim_all(store)
    await builders.complete(store, mending, "dead")
    told = await store.link.command("HGET", keys.run(GROUP, held.job_id), "completion")

    assert State.DEAD == await builders.state_of(store, held.job_id)
    assert message.Failure(kind="First") == message.decode_completion(told).error


async def test_failure_handler_after_tasks(store: Store) -> None:
    """It is called, once, when the others of a dead task are over; a replay runs what failed."""
    held = await fans.fan_out(store, 3, on_failure=MEND)
    first, *others = await fans.claim_all(store)
    await builders.complete(store, first, "dead")
    for each in others:
        await builders.complete(store, each)
    (mending,) = await fans.claim_all(store)
    assert MEND.handler == message.decode_request(mending.body).handler
    await fans.advance(store, mending)
    assert State.DEAD == await builders.state_of(store, held.job_id)

    await Intervention(store).replay(GROUP, held.job_id)
    assert [first.job_id] == await fans.end_all(store)
    assert "succeeded" == await fans.outcome(store)


async def test_replay_goes_on_with_the_phase(store: Store) -> None:
    """A run that died in its second phase is tried again from there."""
    held = await fans.begin(store, phases=(LATER,), on_failure=MEND)
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    await builders.complete(store, second, "dead")
    (mending,) = await fans.claim_all(store)
    await fans.advance(store, mending)
    await Intervention(store).replay(GROUP, held.job_id)

    assert (LATER.handler, 2, 1) == await handler(store)


async def test_cancel_between_phases(store: Store) -> None:
    """A run that was cancelled during a phase does not go on to the next one."""
    held = await fans.begin(store, phases=(LATER,))
    await Intervention(store).cancel([(GROUP, held.job_id)])
    await fans.advance(store, held)

    assert "cancelled" == await fans.outcome(store)


async def test_lost_worker_in_a_phase(store: Store) -> None:
    """A run whose worker is lost goes on in the phase that it was in."""
    held = await fans.begin(store, phases=(LATER,))
    await fans.advance(store, held)
    await fans.claim_all(store)
    await builders.shift(store, HOUR_MS)
    await store.sweep(GROUP)
    await builders.register(store, builders.WORKER, LATER.handler)

    assert (LATER.handler, 2, 2) == await handler(store)


async def test_lost_phase(store: Store) -> None:
    """A report of which the store has lost the run brings it into the next phase."""
    held = await fans.begin(store, phases=(LATER, LATER))
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    await store.link.command("FLUSHALL")

    assert "completed" == await fans.advance(store, second)
    await builders.close_gate(store)
    await builders.register(store, builders.WORKER, LATER.handler)
    assert (LATER.handler, 3, 1) == await handler(store)


async def test_phase_is_adopted(store: Store) -> None:
    """A worker that lives brings a run back into the phase that it is in."""
    held = await fans.fan_out(store, 2, phases=(LATER, LATER))
    for each in await fans.claim_all(store):
        await builders.complete(store, each)
    (second,) = await fans.claim_all(store)
    await store.link.command("FLUSHALL")

    assert "unknown" == await builders.renew(store, second)
    assert ["adopted"] == await builders.adopt(store, second)
    await fans.advance(store, second)
    await builders.close_gate(store)
    await builders.register(store, builders.WORKER, LATER.handler)
    assert (LATER.handler, 3, 1) == await handler(store)
    assert held.job_id == second.job_id


async def test_ledger(store: Store) -> None:
    """The ledger holds one entry for all phases: it waited until the first of them began."""
    held = await fans.begin(store, phases=(LATER,), on_failure=MEND)
    await builders.shift(store, 60_000)
    await fans.advance(store, held)
    await builders.register(store, builders.WORKER, LATER.handler, MEND.handler)
    (second,) = await fans.claim_all(store)
    error = message.Failure(kind="Broken")
    told = builders.completion(second, "dead", error=error)
    await store.exchange(
        builders.WORKER, [builders.ended(second, "dead")._replace(completion=told)], [], {}
    )
    (mending,) = await fans.claim_all(store)
    await fans.advance(store, mending)
    (entry,) = await Ledger(store.link).of(GROUP, "acme/import", 0)

    assert isinstance(entry, Attempts)
    assert ("dead", [("Broken", "")]) == (entry.outcome, entry.errors)
    assert entry.first_ms <= entry.claimed_ms - 60_000


async def test_phase_is_told(store: Store) -> None:
    """A run in flight tells its phase, and which one failed while that is handled, and after."""
    ledger, ref = Ledger(store.link), "acme/import"
    held = await fans.begin(store, phases=(LATER, LATER), on_failure=MEND)
    first = await ledger.current(GROUP, held.job_id)
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    running = await ledger.current(GROUP, held.job_id)
    await builders.complete(store, second, "dead")
    mending = await ledger.current(GROUP, held.job_id)
    (third,) = await fans.claim_all(store)
    await fans.advance(store, third)
    (entry,) = await ledger.of(GROUP, ref, 0)
    found = [first, running, mending, entry]

    assert [(0, False), (2, False), (2, True), (2, False)] == [
        (each.phase, each.mending) for each in found if isinstance(each, Attempts)
    ]


@pytest.mark.parametrize("phases", [(), (LATER,)])
async def test_phase_of_a_cancelled_run(store: Store, phases: tuple[Phase, ...]) -> None:
    """A run that is cancelled while its tasks are done tells its phase."""
    held = await fans.fan_out(store, 3, phases=phases)
    await Intervention(store).cancel([(GROUP, held.job_id)])
    (entry,) = await Ledger(store.link).of(GROUP, "acme/import", 0)

    assert isinstance(entry, Attempts)
    assert ("cancelled", 1) == (entry.outcome, entry.phase)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x01", b"\x92\x81", b"\x94\x81", b"\x94\x80",
     message.encode({"on_failure": 3, "phases": 4})],
)  # fmt: skip
@pytest.mark.parametrize("outcome", ["dead", "succeeded"])
async def test_unsound_body(store: Store, body: bytes, outcome: str) -> None:
    """A run whose body can't be read ends as any other."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence(body=body))
    (held,) = await fans.claim_all(store)
    word = await (
        builders.complete(store, held, outcome) if outcome == "dead" else fans.advance(store, held)
    )

    assert "completed" == word
    assert outcome == await fans.outcome(store)
