"""A run, or the lead of a group, as it travels between the store and those who use it."""

from typing import NamedTuple

from rota.common.job import Job, Priority


class Occurrence(NamedTuple):
    """A run to enqueue. `due_ms` is 0 for one that stands for no occurrence."""

    job_id: str
    tenant: str
    job: str
    handler: str
    due_ms: int
    attempts: int
    keep_ms: int  # how long the finished run is kept for somebody who waits
    body: bytes  # msgpack of `JobRequest`
    priority: Priority = "normal"
    overlap: str = ""  # `allow`: it may be accepted beside other runs of its job
    busy_ms: int = 0  # since when its job has been busy without a break; 0: from now on

    @classmethod
    def of(
        cls, job: Job, job_id: str, *, due_ms: int, keep_ms: int, body: bytes, busy_ms: int = 0
    ) -> "Occurrence":
        """Return the run `job_id` of `job`; `body` is the request that all its runs share."""
        attempts = job.retry.attempts
        names = (job_id, job.tenant, job.name, job.handler)
        overlap = "allow" if job.overlap == "allow" else ""
        return cls(*names, due_ms, attempts, keep_ms, body, job.priority, overlap, busy_ms)


class Claimed(NamedTuple):
    """A run that a worker holds."""

    group: str
    job_id: str
    fence: int
    attempt: int
    due_ms: int
    body: bytes
    left_ms: int = 0  # of a call: how long after the claim its time is over; 0 is no limit


class Adoption(NamedTuple):
    """A held run with what the store needs to know of it again."""

    run: Claimed
    tenant: str
    job: str
    handler: str
    attempts: int


class Claim(NamedTuple):
    """The answer to a claim."""

    registered: bool  # False: the store does not know this worker; register and claim again
    more: bool  # whether claimable runs are left
    runs: list[Claimed]
    wait_s: float = 0.0  # seconds until the gate closes; 0 if it is closed


class Ended(NamedTuple):
    """A run that is over for good, unless it has phases or tasks and goes on with those."""

    run: Claimed
    outcome: str  # succeeded, dead or cancelled
    completion: bytes
    result: bytes  # msgpack, or empty
    tasks: int | None = None  # how many it planned; None if it has ended, whatever it planned
    waited_ms: int = 0  # in its worker, before the attempt began: its tenant does not pay for that

    @property
    def values(self) -> tuple[object, ...]:
        """Return what `complete.lua` is told or, if it may go on, `advance.lua`."""
        run, told = self.run, (self.completion, self.result)
        if self.tasks is None:
            return (*run[1:3], run.due_ms, self.outcome, *told, self.waited_ms)
        return (*run[1:3], run.due_ms, *told, run.body, self.tasks, self.waited_ms)


class Resting(NamedTuple):
    """A run that failed and is to be tried again."""

    run: Claimed
    rest_ms: int
    completion: bytes
    waited_ms: int = 0  # as in `Ended`

    @property
    def values(self) -> tuple[object, ...]:
        """Return what `retry.lua` is told."""
        return (*self.run[1:3], self.rest_ms, self.completion, self.waited_ms)


class Rescued(NamedTuple):
    """A run that was taken back from a silent worker."""

    job_id: str
    worker: str
    attempt: int
    state: str  # queued, dead or cancelled


class Lead(NamedTuple):
    """Who leads a group."""

    term: int  # the caller's; 0 if it does not lead
    leader: str  # its id; empty if nobody leads
    schedulers: int  # how many are alive
    wait_s: float = 0.0  # seconds until the gate closes; 0 if it is closed
