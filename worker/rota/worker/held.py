"""The runs that this worker holds. Read by the renewer's thread, written by the event loop."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from rota.common.run import Claimed
from rota.worker.tether import Tether


@dataclass(slots=True, eq=False)
class HeldRun:
    """One run under our lease."""

    run: Claimed
    renewed_at: float  # monotonic seconds just before the last good claim or renewal was sent
    started_at: float  # monotonic seconds of the claim
    charged_ms: float  # what its group was charged for it
    received_at: float  # monotonic seconds at which the claim was answered
    began_at: float | None = None  # monotonic seconds at which its attempt began; None: it has not
    lost: bool = False  # the lease ended: nothing may be written for it any more
    cancelled: bool = False  # somebody wants it to end
    kill_after: float = 10.0  # seconds that it may take to end when it is told to
    given_back: bool = False  # the worker stops: the lease is kept, and nothing is written
    planned: int = 0  # tasks that its handler has planned
    # That carries it out; None if it has not begun, and for one that ended without waiting.
    task: "asyncio.Task[Any] | None" = field(default=None, repr=False)
    tether: Tether | None = field(default=None, repr=False)  # of the child process that executes it

    @property
    def waited_ms(self) -> int:
        """Return how many whole ms it waited here for a place, before its attempt began."""
        return 0 if self.began_at is None else int((self.began_at - self.received_at) * 1000)

    def took(self, now: float) -> float:
        """Return the seconds from when its attempt began to `now`, monotonic; 0 if it did not."""
        return 0.0 if self.began_at is None else now - self.began_at

    def renew(self, sent_at: float) -> None:
        """Note a good renewal that was sent at `sent_at`. Called by the renewer's thread."""
        self.renewed_at = sent_at
        if self.tether is not None:
            self.tether.extend(sent_at)


class HeldRuns:
    """All runs under our lease, by job_id."""

    def __init__(self) -> None:
        self._runs: dict[str, HeldRun] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, held: HeldRun) -> None:
        """Hold a run."""
        self._runs[held.run.job_id] = held

    def drop(self, held: HeldRun) -> None:
        """Hold it no longer; harmless if a newer claim of the same run took its place."""
        if self._runs.get(held.run.job_id) is held:
            del self._runs[held.run.job_id]

    def get(self, job_id: str) -> HeldRun | None:
        """Return the run if it is held."""
        return self._runs.get(job_id)

    def snapshot(self) -> list[HeldRun]:
        """Return the runs held now. Safe from any thread: one C call copies the dictionary."""
        return list(self._runs.values())
