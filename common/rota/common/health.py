"""`/livez`, `/readyz` and `/metrics` over HTTP, for whoever supervises a daemon.

Live means that the event loop turns: it never asks the store, so that an outage of the store does
not restart the fleet. Ready means that work really passes through, as the daemon itself reckons.
"""

import asyncio
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common import metrics
from rota.common.errors import UsageError

_READ_SECONDS = 5.0  # that a client may take to send its request
_LONGEST_HEAD = 8 * 1024  # bytes of a request, which has no body

_PLAIN = "text/plain; charset=utf-8"

Unready = Callable[[], str]  # why the daemon is not ready; empty if it is


class Health:
    """A small HTTP server with a few pages; off without an address."""

    def __init__(
        self,
        address: str,
        *,
        unready: Unready,
        shown: Callable[[], str] | None = None,
        log: FilteringBoundLogger,
    ) -> None:
        self._host, self._port = parse(address) if address else ("", 0)
        self._unready = unready
        self._shown = shown  # the page of metrics
        self._log = log
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Return the port that it listens on; 0 before `start`."""
        return self._server.sockets[0].getsockname()[1] if self._server else 0

    async def start(self) -> None:
        """Begin to listen; raises `UsageError` if the address can't be had."""
        if self._host and self._server is None:
            try:
                self._server = await asyncio.start_server(
                    self._accept, self._host, self._port, limit=_LONGEST_HEAD
                )
            except OSError as error:
                raise UsageError(f"--health {self._host}:{self._port}: {error.strerror}") from None
            self._log.info("health_served", address=f"{self._host}:{self.port}")

    async def stop(self) -> None:
        """Listen no more, and wait for no slow client."""
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                # To its end: what is left unread when we close would make the client see a reset.
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._page(head.partition(b"\r\n")[0]))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so gets no answer
        finally:
            writer.close()

    def _page(self, line: bytes) -> bytes:
        status, text, kind = self._answer(line)
        body = f"{text}\n".encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + (b"" if line.startswith(b"HEAD ") else body)

    def _answer(self, line: bytes) -> tuple[str, str, str]:
        words = line.decode("latin-1").split()
        if len(words) < 2 or words[0] not in ("GET", "HEAD"):  # noqa: PLR2004 - method and path
            return "405 Method Not Allowed", "only GET", _PLAIN
        path = words[1].partition("?")[0]
        if path == "/livez":
            return "200 OK", "ok", _PLAIN
        if path == "/readyz":
            reason = self._unready()
            return "503 Service Unavailable" if reason else "200 OK", reason or "ok", _PLAIN
        if path == "/metrics" and self._shown:
            return "200 OK", self._shown(), metrics.CONTENT_TYPE
        return "404 Not Found", "there is /livez, /readyz and /metrics", _PLAIN


def parse(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `:PORT`; raises `UsageError` for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004
        raise UsageError(f"--health {address}: expected HOST:PORT, such as 127.0.0.1:8081")
    return host.strip("[]") or "127.0.0.1", int(port)
