"""The only module that knows APScheduler, which rings when the first of all jobs is due.

It is used through its own extension points, with one job of its own for all of ours: our trigger
says when that is due next, our executor rings. No thread is held, and no call is under way between.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from rota.common.clock import Clock, SystemClock, epoch_ms, utc

_PARKED = utc(253_370_764_800_000)  # the year 9999: nothing is due
_OFTEN_MS = 5_000  # so late it may ring when somebody sets the machine's clock
_JOB = "alarm"


class Alarm:
    """Rings at a time by `clock`, or earlier: who is rung looks whether there is anything to do."""

    def __init__(self, ring: Callable[[], None], *, clock: Clock) -> None:
        self._ring = ring
        self._clock = clock
        self._machine = SystemClock()  # that APScheduler goes by
        self._at_ms: int | None = None
        self._armed_ms: int | None = None  # what APScheduler knows
        self._ringing = False
        self._scheduler = _Scheduler(timezone="UTC", executors={"default": _Ringing(self)})
        self._scheduler.add_job(
            _never_called,
            trigger=_Trigger(self),
            id=_JOB,
            next_run_time=_PARKED,
            coalesce=True,
            misfire_grace_time=None,
        )

    def start(self) -> None:
        """Begin to ring, in the running event loop."""
        self._scheduler.start()
        self._scheduler.modify_job(_JOB, next_run_time=self.next_time())

    def stop(self) -> None:
        """Ring no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def set(self, at_ms: int | None) -> None:
        """Ring at `at_ms`, and no more at another time; never if it is None."""
        self._at_ms = at_ms
        earlier = at_ms is not None and (self._armed_ms is None or at_ms < self._armed_ms)
        # To be set to a later time costs more than to ring for nothing once.
        if earlier and self._scheduler.running and not self._ringing:
            self._scheduler.modify_job(_JOB, next_run_time=self.next_time())

    def ring(self) -> None:
        """Ring now."""
        self._ringing = True
        try:
            self._ring()
        finally:
            self._ringing = False

    def next_time(self) -> datetime:
        """Return when to ring next, as the machine's own clock shows it."""
        self._armed_ms = self._at_ms
        if self._at_ms is None:
            return _PARKED
        wait_ms = min(max(0, self._at_ms - self._clock.now_ms()), _OFTEN_MS)
        return utc(self._machine.now_ms() + wait_ms)


class _Scheduler(AsyncIOScheduler):  # type: ignore[misc]  # APScheduler ships without types
    """Wakes up at once: APScheduler would send a message to the loop that it is in already."""

    def wakeup(self) -> None:
        """Handle what is due, and set the timer."""
        self._stop_timer()
        self._start_timer(self._process_jobs())


class _Trigger(BaseTrigger):  # type: ignore[misc]  # APScheduler ships without types
    """Asks the alarm; never for a time that has passed, which APScheduler would ask for again."""

    __slots__ = ("_alarm",)

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return max(self._alarm.next_time(), utc(epoch_ms(now) + 1))


class _Ringing(BaseExecutor):  # type: ignore[misc]  # APScheduler ships without types
    """Rings at once, and is done."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__()
        self._alarm = alarm

    def submit_job(self, job: Any, run_times: list[datetime]) -> None:
        """Ring; nothing is counted, as nothing goes on."""
        self._do_submit_job(job, run_times)

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self._alarm.ring()


def _never_called() -> None:
    raise AssertionError("the executor rings instead of calling this")
