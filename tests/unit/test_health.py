"""`/livez` and `/readyz`: small, quick, and of no use to whoever means harm."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.common import health
from rota.common.errors import UsageError
from rota.common.health import Health
from tests.support.http import get, send
from tests.support.logbook import Logbook


@asynccontextmanager
async def served(reason: str = "") -> AsyncIterator[int]:
    """Return the port of a server whose daemon is not ready for `reason`."""
    pages = Health("127.0.0.1:0", unready=lambda: reason, log=Logbook().log)
    await pages.start()
    try:
        yield pages.port
    finally:
        await pages.stop()


async def test_pages() -> None:
    """A ready daemon is live and ready."""
    async with served() as port:
        assert (200, "ok") == await get(port, "/livez")
        assert (200, "ok") == await get(port, "/readyz")
        assert (200, "ok") == await get(port, "/readyz?verbose=1")


async def test_unready() -> None:
    """One that is not ready is live all the same, and says why it is not ready."""
    async with served("deaf") as port:
        assert (200, "ok") == await get(port, "/livez")
        assert (503, "deaf") == await get(port, "/readyz")


async def test_metrics() -> None:
    """The page of numbers is of the type that says how it is to be read."""
    pages = Health("127.0.0.1:0", unready=str, shown=lambda: "rota_x 1", log=Logbook().log)
    await pages.start()
    answer = await send(pages.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    await pages.stop()

    assert b"rota_x 1\n" == body
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head


@pytest.mark.parametrize("path", ["/", "/livez/", "/readyz/x", "/metrics"])
async def test_other_paths(path: str) -> None:
    """Any other page is not there."""
    async with served() as port:
        assert 404 == (await get(port, path))[0]


@pytest.mark.parametrize("request_line", ["POST /livez HTTP/1.1", "DELETE /readyz HTTP/1.1", "GET"])
async def test_other_methods(request_line: str) -> None:
    """Nothing can be done but get."""
    async with served() as port:
        answer = await send(port, f"{request_line}\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/readyz", 503), ("/x", 404)])
async def test_head(path: str, status: int) -> None:
    """HEAD is answered as GET is, without the text."""
    async with served("why") as port:
        answer = await send(port, f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")

        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Content-Length: " in head
        assert b"" == body


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET /" + b"x" * 20_000, b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"],
    ids=["line", "headers"],
)
async def test_oversized(request_bytes: bytes) -> None:
    """A request that is too long is given up, and the next one is answered."""
    async with served() as port:
        assert b"" == await send(port, request_bytes)
        assert (200, "ok") == await get(port, "/livez")


async def test_bytes_that_are_no_text() -> None:
    """Bytes that mean nothing do no harm."""
    async with served() as port:
        assert b" 405 " in await send(port, bytes(range(128, 256)) + b"\r\n\r\n")
        assert (200, "ok") == await get(port, "/livez")


async def test_slow_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing keeps nobody waiting, and is hung up on after a while."""
    monkeypatch.setattr(health, "_READ_SECONDS", 0.2)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez")
        async with asyncio.timeout(1):
            assert (200, "ok") == await get(port, "/livez")
            assert b"" == await reader.read()
        writer.close()


async def test_stop_waits_for_nobody() -> None:
    """A slow client does not keep the daemon from stopping; the port is free then."""
    pages = Health("127.0.0.1:0", unready=str, log=Logbook().log)
    await pages.start()
    port = pages.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET")
    await get(port, "/livez")
    async with asyncio.timeout(1):
        await pages.stop()
        assert b"" == await reader.read()
    writer.close()
    with pytest.raises(OSError, match=r"refused|failed"):
        await get(port, "/livez")


async def test_off() -> None:
    """Without an address nobody listens; start, stop and stop again are harmless."""
    pages = Health("", unready=str, log=Logbook().log)
    await pages.start()

    assert 0 == pages.port
    await pages.stop()
    await pages.stop()


async def test_address_in_use() -> None:
    """An address that somebody has is refused by its name."""
    async with served() as port:
        second = Health(f"127.0.0.1:{port}", unready=str, log=Logbook().log)
        with pytest.raises(UsageError, match=f"--health 127.0.0.1:{port}"):
            await second.start()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:8081", ("127.0.0.1", 8081)),
        (":8081", ("127.0.0.1", 8081)),
        ("[::1]:8081", ("::1", 8081)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),  # noqa: S104 - nobody listens there
    ],
)
def test_address(address: str, expected: tuple[str, int]) -> None:
    """An address is HOST:PORT; without a host it is this machine alone."""
    assert expected == health.parse(address)


@pytest.mark.parametrize("address", ["8081", "localhost", "localhost:", "x:y", "x:-1", "x:65536"])
def test_wrong_address(address: str) -> None:
    """Anything else is a mistake of usage, and the message shows what to write."""
    with pytest.raises(UsageError, match=f"--health {address}: expected HOST:PORT"):
        health.parse(address)
