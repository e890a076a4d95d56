"""Who is silent holds up nobody; who is only slow is heard in the end."""

import asyncio
from typing import Any

import pytest

from rota.common.link import patience
from rota.common.link.patience import Patience
from rota.common.link.server import Server
from rota.common.link.url import Address
from tests.support import probe

ADDRESS = Address("redis://127.0.0.1:1/0")
QUICK, SLOW = Server(ADDRESS.entry()), Server(ADDRESS.entry())


class Silent:
    """A server whose replies come when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.reply: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    async def trip(self) -> list[Any]:
        """Make a round trip."""
        self.asked += 1
        return await asyncio.shield(self.reply)


async def quick() -> list[Any]:
    """Answer at once."""
    return [b"quick"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody be waited for long."""
    monkeypatch.setattr(patience, "_SHORTEST", 0.02)


async def test_silent_server_is_left_out() -> None:
    """Others are heard while a server is silent, which is asked nothing more meanwhile."""
    waiting, silent = Patience(), Silent()
    heard = [await waiting.replies({SLOW: silent.trip(), QUICK: quick()}) for _ in range(3)]
    await waiting.close()

    assert [{QUICK: [b"quick"]}] * 3 == heard
    assert 1 == silent.asked


@pytest.mark.parametrize(
    ("late", "limit"), [([b"late"], 0.04), ([OSError("timed out")], 0.02)], ids=["slow", "away"]
)
async def test_time_after_silence(
    monkeypatch: pytest.MonkeyPatch, late: list[Any], limit: float
) -> None:
    """A server that answered late is waited for twice as long next time; one that failed is not."""
    waiting, silent = Patience(), Silent()
    await waiting.replies({SLOW: silent.trip()})
    silent.reply.set_result(late)
    await probe.until(lambda: not waiting._late)
    limits: list[float | None] = []
    wait = asyncio.wait

    async def measured(tasks: Any, timeout: float | None) -> Any:
        limits.append(timeout)
        return await wait(tasks, timeout=timeout)

    monkeypatch.setattr(asyncio, "wait", measured)
    heard = [await waiting.replies({SLOW: trip}) for trip in (silent.trip(), quick(), quick())]
    await waiting.close()

    assert [{SLOW: late}, {SLOW: [b"quick"]}, {SLOW: [b"quick"]}] == heard
    assert [limit, 0.02, 0.02] == limits
