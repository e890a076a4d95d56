"""Daemons run until a signal: the first lets them end in order, a later one ends the process."""

import asyncio
import os
import signal

import pytest

from rota.common import command
from tests.support import waits
from tests.support.logbook import Logbook


class Deaf:
    """A daemon that is told to stop, and takes until `over`."""

    def __init__(self, *signals: signal.Signals) -> None:
        self._signals = signals  # that come one right after the other
        self.stopping_at = 0.0
        self.over = asyncio.Event()

    async def start(self) -> None:
        """Be told to stop."""
        self.stopping_at = asyncio.get_running_loop().time()
        for number in self._signals:
            os.kill(os.getpid(), number)

    async def failed(self) -> None:
        """Never fail."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """End at once."""


class Stubborn(Deaf):
    """A daemon that does not end, however often it is told."""

    async def stop(self) -> None:
        """Be told again and again."""

        def told() -> bool:
            os.kill(os.getpid(), signal.SIGTERM)
            return self.over.is_set()

        await waits.eventually(told)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the codes with which the process would have ended at once."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


def test_one_signal_on_two_ways(exits: list[int]) -> None:
    """Ctrl-C that arrives directly and through a parent is one signal: the daemon ends in order."""
    code = command.run_daemon(Deaf(signal.SIGINT, signal.SIGTERM), Logbook().log)

    assert 0 == code
    assert [] == exits


def test_a_later_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again after half a second is not kept waiting, and the log says what happened."""
    logbook = Logbook()
    daemon = Stubborn(signal.SIGINT)
    exits: list[tuple[int, float]] = []

    def leave(code: int) -> None:
        exits.append((code, asyncio.get_running_loop().time() - daemon.stopping_at))
        daemon.over.set()

    monkeypatch.setattr(os, "_exit", leave)
    command.run_daemon(daemon, logbook.log)
    code, after = exits[0]

    assert 128 + signal.SIGTERM == code
    assert 0.5 <= after < 2
    assert "SIGTERM" == logbook.events("exit_at_once")[0]["signal"]
