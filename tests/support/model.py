"""The state machine once more, in plain Python: what a group holds after each transition.

The scripts are compared with it, so it is written from their headers, not for speed. Times are in
ms on a coarse grid: `now` is a multiple of `GRID_MS`, the ends of leases and rests lie half-way
between two such moments. So the few real ms that a step takes never decide anything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, permutations

from rota.common.ledger import Note
from rota.common.retention import USUAL
from rota.common.run import Claim, Claimed, Occurrence, Rescued
from rota.common.scripts import GATE_MS
from rota.common.state import Operation, State
from tests.support.builders import BESIDE

GRID_MS = 4_000
LEASE_MS = 14_000
WAITING = {State.QUEUED, State.HELD, State.RETRYING}
IN_FLIGHT = WAITING | {State.RUNNING}
SPARE = 5  # entries of a job that its ledger may hold beyond those that count
KEEP_MS = 3_600_000  # how long a triggered run is kept when the store has lost how long it should

Lists = dict[str, list[str]]  # queue of each tenant and hold of each handler: job_ids
Entry = tuple[str | int, ...]  # of the ledger: a run that ended, or a stretch
Move = tuple[State | None, Operation, State | None]  # before, what was done, after; None: no record


@dataclass
class Record:
    """What the store knows of one run."""

    state: State | None = None
    handler: str = ""  # empty: it was lost, with the payload
    attempts: int = 0
    attempt: int = 0
    fence: int = 0
    worker: str = ""
    keep_ms: int | None = None
    cancel: bool = False
    rested: int = 0  # fence of the last attempt that failed
    replays: int = 0
    items: int = 0  # in units of work that are committed


@dataclass
class Slot:
    """What the store knows of one job."""

    run: str = ""  # job_id in flight
    due: int = 0  # of the last occurrence that was accepted, ms
    last: str = ""  # job_id of the last that ended
    outcome: str = ""
    fence: int = 0
    ok: bool = False  # whether a run has succeeded
    failures: int = 0  # runs in a row that died


def ref_of(job_id: str) -> str:
    """Return TENANT/JOB."""
    return job_id.partition(":")[0]


def tenant_of(job_id: str) -> str:
    """Return the tenant."""
    return job_id.partition("/")[0]


def beside(job_id: str) -> bool:
    """Tell whether other runs of the job may be in flight meanwhile."""
    return ref_of(job_id).endswith(f"/{BESIDE}")


@dataclass
class Model:
    """One group. Each method is one script on one run, and returns the word it must answer."""

    now: int
    fence: int = 0  # the highest that was given
    gate: int = 0  # when it closes, ms
    runs: dict[str, Record] = field(default_factory=dict)
    slots: defaultdict[str, Slot] = field(default_factory=lambda: defaultdict(Slot))
    queues: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    holds: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    leases: dict[str, int] = field(default_factory=dict)  # job_id -> end, ms
    rests: dict[str, int] = field(default_factory=dict)  # job_id -> end, ms
    dead: set[str] = field(default_factory=set)
    told: list[tuple[str, str]] = field(default_factory=list)  # job_id and outcome published
    ledger: defaultdict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    tokens: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    served: dict[str, tuple[str, ...]] = field(default_factory=dict)  # worker -> handlers
    memory: dict[str, tuple[int, list[str]]] = field(default_factory=dict)  # worker -> last claim
    began: dict[str, int] = field(default_factory=dict)  # job_id -> when its attempt began, ms
    used: Counter[str] = field(default_factory=Counter)  # tenant -> ms of attempts that have ended
    drift: Counter[str] = field(default_factory=Counter)  # what the store's few real ms add to that
    moves: Counter[Move] = field(default_factory=Counter)  # how often each took effect

    @property
    def gated(self) -> bool:
        """Tell whether the gate is open."""
        return self.now < self.gate

    def state(self, job_id: str) -> State | None:
        """Return the state of a run, None if it is unknown."""
        record = self.runs.get(job_id)
        return record.state if record else None

    def of(self, *states: State) -> list[str]:
        """Return the runs that are in one of `states`."""
        return [job_id for job_id, record in self.runs.items() if record.state in states]

    def holder(self, job_id: str, fence: int) -> bool:
        """Tell whether the run is running under `fence`."""
        record = self.runs.get(job_id)
        return bool(record and record.state is State.RUNNING and record.fence == fence)

    def queue(self, job_id: str) -> list[str]:
        """Return the queue that the run is put into."""
        return self.queues[self.queue_of(job_id)]

    def service(self, tenant: str) -> int:
        """Return the ms of service that a tenant got up to now."""
        mine = [at for job_id, at in self.began.items() if tenant_of(job_id) == tenant]
        return self.used[tenant] + sum(self.now - at for at in mine)

    # What limits make different: see `limited_model`.

    def queue_of(self, job_id: str) -> str:
        """Return the name of the queue that the run is put into."""
        return tenant_of(job_id)

    def may_point_to(self, job_id: str) -> list[list[str]]:
        """Return the queues in which there may be pointers to the run."""
        return [self.queue(job_id)]

    def may_start(self, worker: str) -> bool:
        """Tell whether the worker might get more out of the queues."""
        return any(self.queues.values())

    def running_of(self) -> dict[str, int]:
        """Return how many runs of each handler are running that has a limit."""
        return {}

    # -- what schedulers do

    def enqueue(self, run: Occurrence) -> tuple[str, str]:
        """Accept an occurrence: nothing -> queued."""
        slot = self.slots[f"{run.tenant}/{run.job}"]
        if self.gated:
            return "gated", ""
        wide = run.overlap == "allow"
        if slot.run == run.job_id or (wide and self.state(run.job_id) in IN_FLIGHT):
            return "duplicate", run.job_id
        if slot.run in self.runs and not wide:
            return "busy", slot.run
        if slot.last == run.job_id or 0 < run.due_ms <= slot.due:
            return "past", run.job_id
        if not run.due_ms and run.job_id in self.runs:
            return "past", run.job_id
        if slot.run and slot.run not in self.runs:
            self.gone(slot.run, "lost")
        self._move(run.job_id, Operation.ENQUEUE, State.QUEUED)
        record = self.runs[run.job_id]
        record.handler, record.attempts, record.keep_ms = run.handler, run.attempts, run.keep_ms
        record.attempt = 0
        slot.run, slot.due = run.job_id, run.due_ms or slot.due
        self.queue(run.job_id).append(run.job_id)
        return "queued", run.job_id

    def record(self, note: Note) -> tuple[str, str]:
        """Note occurrences that were not run: no move of a run."""
        slot, entries = self.slots[note.ref], self.ledger[note.ref]
        if self.gated:
            return "gated", ""
        if note.to_ms <= slot.due:
            return "past", ""
        if note.from_ms <= slot.due:
            return "partly", str(slot.due)
        new: Entry = (*note[1:3], note.from_ms, note.to_ms, note.times, note.way)
        last = entries[0] if entries else ("",)
        if len(last) == len(new) and (*last[:2], last[3], last[5]) == (
            *(note.outcome, note.detail, slot.due, note.way),
        ):
            entries[0] = (*last[:3], note.to_ms, int(last[4]) + note.times, note.way)
        else:
            self._write(note.ref, new)
        slot.due = note.to_ms
        return "recorded", ""

    def rested(self) -> set[str]:
        """Return the runs that have rested long enough."""
        return set() if self.gated else {i for i, end in self.rests.items() if end <= self.now}

    def promote(self, job_id: str) -> None:
        """Queue a run that has rested: retrying -> queued."""
        del self.rests[job_id]
        self._move(job_id, Operation.PROMOTE, State.QUEUED)
        self.queue(job_id).append(job_id)

    def silent(self) -> set[str]:
        """Return the runs whose leases have ended."""
        return set() if self.gated else {i for i, end in self.leases.items() if end <= self.now}

    def rescue(self, job_id: str) -> Rescued:
        """Take a run back from its worker: running -> queued, dead or cancelled."""
        record = self.runs[job_id]
        self.fence += 1
        if record.cancel:
            self._finish(job_id, Operation.RESCUE, State.CANCELLED, self.fence)
        elif record.attempt < record.attempts:
            self._leave(job_id)
            self._move(job_id, Operation.RESCUE, State.QUEUED)
            self.queue(job_id).insert(0, job_id)
            self.told.append((job_id, "retrying"))
        else:
            self._finish(job_id, Operation.RESCUE, State.DEAD, self.fence)
        state = self.state(job_id) or State.CANCELLED
        return Rescued(job_id, record.worker, record.attempt, state)

    # -- what workers do

    def claim(self, worker: str, n: int, request: int, claim: Claim, lists: Lists) -> None:
        """Take what a claim gave: queued or held -> running; compare it with what it might give.

        What was held for the worker is queued again, in front, before it comes to anybody's turn.
        Which tenant comes first is a matter of service, and no state: the model learns from
        `lists`, the queues and holds as they are now, how far each was read.
        """
        assert self.gated == (claim.wait_s > 0)
        assert claim.registered == (self.gated or worker in self.served)
        if self.gated or worker not in self.served:
            assert [] == claim.runs
            return
        given = [run.job_id for run in claim.runs]
        known, last = self.memory.get(worker, (None, []))
        if known == request:
            assert [i for i in last if self._runs_at(i, worker)] == given
            for run in claim.runs:
                assert self.holder(run.job_id, run.fence)
                self.leases[run.job_id] = self.now + LEASE_MS
        else:
            self._take(worker, n, claim.runs, lists)
        if given:
            self.memory[worker] = (request, given)
        for handler in self.holds.keys() - self.served[worker]:
            for _ in self._held(handler):
                self.moves[State.HELD, Operation.CLAIM, State.HELD] += 1
        holds = [] if known == request else [self.holds[h] for h in self.served[worker]]
        assert claim.more == (any(holds) or self.may_start(worker))

    def _held(self, handler: str) -> list[str]:
        return [i for i in self.holds[handler] if self.state(i) is State.HELD]

    def _runs_at(self, job_id: str, worker: str) -> bool:
        record = self.runs.get(job_id)
        return bool(record and record.state is State.RUNNING and record.worker == worker)

    def _take(self, worker: str, n: int, runs: list[Claimed], lists: Lists) -> None:
        serves = self.served[worker]
        given = [run.job_id for run in runs]
        again = self._queue_held(serves, n, given, lists)
        looked_at = 0
        parts: list[list[str]] = []
        aside: list[str] = []
        for popped in self._read(lists, again, given):
            looked_at += len(popped)
            taken, not_served = self._sort_out(popped, serves, again)
            parts.append(taken)
            aside += not_served
        self._set_aside(aside, lists)
        # A run with pointers in two queues is taken from the one that is read first.
        pointers = Counter(chain(*parts))
        assert sorted(pointers) == sorted(given)
        for part in parts:
            certain = [i for i in part if pointers[i] == 1]
            assert certain == [i for i in given if i in certain]
        for run in runs:
            assert self.fence < run.fence
            self.fence = run.fence
            self.runs[run.job_id].attempt += 1
            assert self.runs[run.job_id].attempt == run.attempt
            self._begin(run.job_id, Operation.CLAIM, worker, run.fence)
        if len(given) < n and looked_at < n + 32:
            assert not self.may_start(worker)

    def _queue_held(
        self, serves: tuple[str, ...], n: int, given: list[str], lists: Lists
    ) -> set[str]:
        """Queue up to `n` runs held for each of these handlers in front, the handlers in any order.

        Returns them. Those that are given then are held until then, as everybody else sees it.
        """
        parts = [[self.holds[h].pop(0) for _ in self.holds[h][:n]] for h in serves]
        held = [
            [i for i in _last_ones(part) if self.state(i) is State.HELD] for part in parts
        ]  # a doubled pointer does no harm
        for name in {self.queue_of(job_id) for part in held for job_id in part}:
            mine = [[i for i in part if self.queue_of(i) == name] for part in held]
            seen = [i for i in [*given, *lists[name]] if any(i in part for part in mine)]
            front = list(dict.fromkeys(seen))
            assert front in [list(chain(*order)) for order in permutations(mine)]
            self.queues[name][:0] = front
        again = set(chain(*held))
        for job_id in again.difference(given):
            self._move(job_id, Operation.CLAIM, State.QUEUED)
        return again

    def _read(self, lists: Lists, again: set[str], given: list[str]) -> Iterator[list[str]]:
        """Read queues as far as a claim did that gave these; return what it found in each."""
        for name, queue in self.queues.items():
            yield _pop(queue, lists[name])

    def _sort_out(
        self, popped: list[str], serves: tuple[str, ...], again: set[str]
    ) -> tuple[list[str], list[str]]:
        """Return which of these pointers are taken, and which are of runs to be set aside."""
        once = dict.fromkeys(popped)  # a doubled pointer does no harm
        queued = [i for i in once if i in again or self.state(i) is State.QUEUED]
        taken = [i for i in queued if self.runs[i].handler in serves]
        return taken, [i for i in queued if i not in taken]

    def _set_aside(self, aside: list[str], lists: Lists) -> None:
        """Hold runs: those of one tenant in their order, the tenants in any."""
        for handler in {self.runs[job_id].handler for job_id in aside}:
            mine = [job_id for job_id in aside if self.runs[job_id].handler == handler]
            found = lists[handler][-len(mine) :]
            assert sorted(mine) == sorted(found)
            assert sorted(mine, key=tenant_of) == sorted(found, key=tenant_of)
            self.holds[handler] += found
            for job_id in found:
                self._move(job_id, Operation.CLAIM, State.HELD)

    def renew(self, job_id: str, fence: int) -> str:
        """Lengthen a lease: running -> running."""
        if not self.holder(job_id, fence):
            return "unknown" if self._may_be_lost(job_id, fence) else "lost"
        self._move(job_id, Operation.RENEW, State.RUNNING)
        self.leases[job_id] = self.now + LEASE_MS
        return "cancel" if self.runs[job_id].cancel else "renewed"

    def _may_be_lost(self, job_id: str, fence: int) -> bool:
        known = job_id in self.runs or self.slots[ref_of(job_id)].last == job_id
        return (self.gated and not known) or self._forgotten(job_id, fence, renewed=True)

    def progress(self, job_id: str, fence: int, items: int) -> tuple[str, int]:
        """Keep how much of a run is committed: running -> running; return what was before."""
        if not self.holder(job_id, fence):
            return "unknown" if self._may_be_lost(job_id, fence) else "stale", 0
        self._move(job_id, Operation.PROGRESS, State.RUNNING)
        before, self.runs[job_id].items = self.runs[job_id].items, items
        return "noted", before

    def adopt(self, run: Claimed, worker: str, handler: str, attempts: int) -> str:
        """Take back a claim that was forgotten: anything -> running."""
        slot = self.slots[ref_of(run.job_id)]
        if self.holder(run.job_id, run.fence):
            self._move(run.job_id, Operation.ADOPT, State.RUNNING)
            self.leases[run.job_id] = self.now + LEASE_MS
            return "adopted"
        if not self._forgotten(run.job_id, run.fence):
            return "lost"
        wide = beside(run.job_id)
        if slot.run and slot.run != run.job_id and not wide:
            other = self.runs.get(slot.run)
            if other and other.fence > run.fence:
                return "lost"
            self._leave(slot.run)
            self.runs.pop(slot.run, None)
            self.gone(slot.run, "skipped")
        self._leave(run.job_id)
        self._found(run.job_id)
        self.fence = max(self.fence, run.fence)
        self._begin(run.job_id, Operation.ADOPT, worker, run.fence)
        record = self.runs[run.job_id]
        record.handler, record.attempt, record.attempts = handler, run.attempt, attempts
        if record.keep_ms is None:
            record.keep_ms = 0 if run.due_ms else KEEP_MS
        if not wide or not slot.run or run.due_ms >= slot.due:
            slot.run = run.job_id
        slot.due = max(slot.due, run.due_ms)
        return "adopted"

    def wait(self, run: Claimed, waited_ms: int) -> None:
        """Let an attempt, if it is under way, have begun so much later than it was claimed."""
        if self.holder(run.job_id, run.fence):
            self.began[run.job_id] = min(self.now, self.began[run.job_id] + waited_ms)

    def complete(self, run: Claimed, outcome: str) -> str:
        """End a run: running -> succeeded, dead or cancelled; anything, if it was forgotten."""
        slot = self.slots[ref_of(run.job_id)]
        if self.holder(run.job_id, run.fence):
            self._finish(run.job_id, Operation.COMPLETE, State(outcome), run.fence)
        elif self.gated and self._forgotten(run.job_id, run.fence, of_run=True):
            record = self.runs.setdefault(run.job_id, Record())
            if record.keep_ms is None:
                record.keep_ms = 0 if run.due_ms else KEEP_MS
            slot.due = max(slot.due, run.due_ms)
            self._found(run.job_id)
            self._finish(run.job_id, Operation.COMPLETE, State(outcome), run.fence, run.attempt)
        elif slot.fence != run.fence and not (beside(run.job_id) and self._ended(run.job_id)):
            return "stale"
        return "completed"

    def retry(self, run: Claimed, rest_ms: int) -> str:
        """Let a run rest that failed: running -> retrying, or cancelled."""
        record = self.runs.get(run.job_id)
        if not self.holder(run.job_id, run.fence):
            return "retrying" if record and record.rested == run.fence else "stale"
        assert record
        if record.cancel:
            self._finish(run.job_id, Operation.RETRY, State.CANCELLED, run.fence)
        else:
            record.rested = run.fence
            self._rest(run.job_id, Operation.RETRY, rest_ms)
            self.told.append((run.job_id, "retrying"))
        return "retrying"

    def release(self, run: Claimed, rest_ms: int) -> str:
        """Give a run back uncounted: running -> queued, retrying or cancelled."""
        if not self.holder(run.job_id, run.fence):
            return "stale"
        record = self.runs[run.job_id]
        if record.cancel:
            self._finish(run.job_id, Operation.RELEASE, State.CANCELLED, run.fence)
            return "released"
        record.attempt -= 1
        if rest_ms:
            self._rest(run.job_id, Operation.RELEASE, rest_ms)
        else:
            self._leave(run.job_id)
            self._move(run.job_id, Operation.RELEASE, State.QUEUED)
            self.queue(run.job_id).insert(0, run.job_id)
        return "released"

    # -- what people do

    def cancel(self, job_id: str) -> str:
        """Cancel a run: waiting -> cancelled; its worker is told of one that is running."""
        if self.gated:
            return "gated"
        record = self.runs.get(job_id)
        if record and record.state is State.RUNNING:
            self._move(job_id, Operation.CANCEL, State.RUNNING)
            if not record.cancel:
                self.tokens[record.worker].append(f"{record.fence} {job_id}")
            record.cancel = True
            return "cancelling"
        if record and record.state in WAITING:
            for pointers in (*self.may_point_to(job_id), self.holds[record.handler]):
                pointers[:] = [i for i in pointers if i != job_id]
            self.fence += 1
            self._finish(job_id, Operation.CANCEL, State.CANCELLED, self.fence)
            return "cancelled"
        return "over" if record or self.slots[ref_of(job_id)].last == job_id else "unknown"

    def replay(self, job_id: str) -> tuple[str, str]:
        """Try a dead letter again: dead -> queued."""
        slot = self.slots[ref_of(job_id)]
        if self.gated:
            return "gated", job_id
        if self.state(job_id) is not State.DEAD:
            return "unknown", job_id
        if slot.run in self.runs:
            return "busy", slot.run
        record = self.runs[job_id]
        if not record.handler:
            return "lost", job_id
        self._move(job_id, Operation.REPLAY, State.QUEUED)
        record.attempt, record.cancel, record.rested = 0, False, 0
        record.replays += 1
        slot.run, slot.last = job_id, "" if slot.last == job_id else slot.last
        self.dead.discard(job_id)
        self.queue(job_id).append(job_id)
        return "queued", job_id

    def purge(self, job_id: str) -> bool:
        """Forget a dead letter."""
        if self.state(job_id) is not State.DEAD:
            return False
        self._move(job_id, Operation.PURGE, None)
        self.dead.discard(job_id)
        return True

    # -- what they have in common

    def reopen(self, fence: int) -> None:
        """Open the gate, under the fence that the store drew."""
        assert self.fence <= fence
        self.gate, self.fence = self.now + GATE_MS, fence

    def gone(self, job_id: str, outcome: str) -> None:
        """Note that a run is there no more."""
        self._write(ref_of(job_id), (outcome, job_id, 0, 0, 0))

    def _found(self, job_id: str) -> None:
        """Take back what was noted of a run that seemed to be gone."""
        entries = self.ledger[ref_of(job_id)]
        gone = [("lost", job_id, 0, 0, 0), ("skipped", job_id, 0, 0, 0)]
        entries[:] = [entry for entry in entries if entry not in gone]

    def _write(self, ref: str, entry: Entry) -> None:
        self.ledger[ref].insert(0, entry)
        if len(self.ledger[ref]) > USUAL.runs + SPARE:
            del self.ledger[ref][USUAL.runs :]

    def _forgotten(
        self, job_id: str, fence: int, *, of_run: bool = False, renewed: bool = False
    ) -> bool:
        """Tell whether the store may have lost that the run was claimed under `fence`."""
        record, slot = self.runs.get(job_id), self.slots[ref_of(job_id)]
        if record and (record.state not in IN_FLIGHT or record.fence >= fence):
            return False
        if (record and of_run) or slot.last == job_id:
            return bool(record and of_run)
        wide = beside(job_id) and not renewed
        return slot.fence < fence or (self.gated and wide and not self._ended(job_id))

    def _ended(self, job_id: str) -> bool:
        """Tell whether it is noted how a run ended."""
        gone = ("lost", "skipped")
        return any(e[1] == job_id and e[0] not in gone for e in self.ledger[ref_of(job_id)])

    def _move(self, job_id: str, operation: Operation, after: State | None) -> None:
        self.moves[self.state(job_id), operation, after] += 1
        if after is None:
            self.runs.pop(job_id, None)
        else:
            self.runs.setdefault(job_id, Record()).state = after

    def _begin(self, job_id: str, operation: Operation, worker: str, fence: int) -> None:
        self._move(job_id, operation, State.RUNNING)
        self.runs[job_id].worker, self.runs[job_id].fence = worker, fence
        self.leases[job_id] = self.now + LEASE_MS
        self.began[job_id] = self.now

    def _leave(self, job_id: str) -> None:
        self.used[tenant_of(job_id)] += self.now - self.began.pop(job_id, self.now)
        self.leases.pop(job_id, None)
        self.rests.pop(job_id, None)

    def _rest(self, job_id: str, operation: Operation, rest_ms: int) -> None:
        self._leave(job_id)
        self._move(job_id, operation, State.RETRYING)
        self.rests[job_id] = self.now + rest_ms

    def _finish(
        self, job_id: str, operation: Operation, outcome: State, fence: int, attempt: int = 0
    ) -> None:
        """End a run. `attempt` is the last one's number, if the store does not know it."""
        slot = self.slots[ref_of(job_id)]
        self._leave(job_id)
        self._move(job_id, operation, outcome)
        slot.run = "" if slot.run == job_id else slot.run
        if slot.fence < fence:
            slot.last, slot.outcome, slot.fence = job_id, outcome.value, fence
            slot.ok = slot.ok or outcome is State.SUCCEEDED
            if outcome is not State.CANCELLED:
                slot.failures = slot.failures + 1 if outcome is State.DEAD else 0
        self.told.append((job_id, outcome.value))
        record = self.runs[job_id]
        counts = (attempt or record.attempt, record.replays, record.items)
        self._write(ref_of(job_id), (outcome.value, job_id, *counts))
        if outcome is State.DEAD:
            self.dead.add(job_id)
        elif not self.runs[job_id].keep_ms:
            del self.runs[job_id]


def _last_ones(pointers: list[str]) -> list[str]:
    """Return each pointer once, where it is last."""
    return list(dict.fromkeys(reversed(pointers)))[::-1]


def _pop(pointers: list[str], left: list[str]) -> list[str]:
    """Take from the front of a list until as many pointers as in `left` are left; return those."""
    gone = pointers[: max(0, len(pointers) - len(left))]
    del pointers[: len(gone)]
    return gone
