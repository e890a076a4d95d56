"""A child process's tether: how long it may go on. Its worker lengthens it with each renewal.

A worker that is stopped, as by SIGSTOP or a frozen container, can't end its child, whose run goes
to another worker when the lease ends. So the child ends itself. The tether is a pipe of its own,
because it is the renewer's thread that writes to it; both ends read the same monotonic clock.
"""

import math
import os
import select
import signal
import struct
import threading
from contextlib import suppress

from rota.common.clock import Clock

_SHARE = 0.95  # of a lease: later than the worker gives a run up, earlier than the store does
_UNTIL = struct.Struct("=d")  # monotonic seconds; infinite while there is no run
_MANY = 512  # messages that are read at once; the last one counts


class Tether:
    """The worker's end, for one child. Any thread may call it."""

    def __init__(self, lease_ms: int) -> None:
        self.child_end, self._sink = os.pipe()
        os.set_blocking(self._sink, False)  # a child that does not read holds up nobody
        self._lock = threading.Lock()
        self._lease = lease_ms / 1000
        self._tied = False
        self.until = math.inf  # monotonic seconds at which the child ends itself

    def tie(self, renewed_at: float) -> None:
        """Let the child go on until the lease ends that was renewed at `renewed_at`."""
        with self._lock:
            self._tied = self._sink >= 0
            self._extend(renewed_at)

    def extend(self, renewed_at: float) -> None:
        """Do so again; nothing if the child is not tied any more."""
        with self._lock:
            self._extend(renewed_at)

    def untie(self) -> None:
        """Let the child go on: its run is over."""
        with self._lock:
            self._extend(math.inf)
            self._tied = False

    def close(self) -> None:
        """Give the pipe back; the child is gone. Harmless if repeated."""
        with self._lock:
            self._tied = False
            if self._sink >= 0:
                os.close(self._sink)
                self._sink = -1

    def _extend(self, renewed_at: float) -> None:
        if self._tied:
            self.until = renewed_at + _SHARE * self._lease
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._sink, _UNTIL.pack(self.until))


def hold(child_end: int, clock: Clock) -> None:
    """End this process, and what it started, when its tether does; return if the worker is gone.

    For a thread of the child's own. It is held up by code that never releases the interpreter.
    """
    until = math.inf
    while True:
        rest = None if until == math.inf else max(0.0, until - clock.monotonic())
        ready, _, _ = select.select([child_end], [], [], rest)
        if not ready:
            _end()
        read = os.read(child_end, _MANY * _UNTIL.size)
        if not read:
            return
        (until,) = _UNTIL.unpack(read[-_UNTIL.size :])


def _end() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
