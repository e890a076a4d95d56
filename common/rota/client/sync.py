"""Calls handlers by name, for threads: a client on an event loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar, cast

from rota.client.client import TIMEOUT, Client, Span
from rota.client.contract import Contract

_T = TypeVar("_T")


class SyncClient:
    """A `Client` for code without an event loop; any number of threads may share one.

    with SyncClient("redis://...") as client:
        counts = client.call("orders.import", tenant="acme", source="eu")
    """

    def __init__(self, url: str | None = None, *, group: str | None = None) -> None:
        self._client = Client(url, group=group)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rota", daemon=True)
        self._thread.start()

    def __enter__(self) -> "SyncClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection, and end the thread; harmless when repeated."""
        if not self._loop.is_closed():
            self._wait(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def call(self, handler: str, /, *, tenant: str, **options: Any) -> Any:
        """Do as `Client.call` does, with the same options and arguments."""
        return self._wait(self._client.call(handler, tenant=tenant, **options))

    def enqueue(self, handler: str, /, *, tenant: str, **options: Any) -> str:
        """Do as `Client.enqueue` does, with the same options and arguments."""
        return self._wait(self._client.enqueue(handler, tenant=tenant, **options))

    def wait(self, job_id: str, **options: Any) -> Any:
        """Do as `Client.wait` does, with the same options."""
        return self._wait(self._client.wait(job_id, **options))

    def service(
        self,
        contract: Callable[..., _T],  # `type` would refuse a Protocol
        *,
        tenant: str,
        name: str | None = None,
        timeout: Span = TIMEOUT,
        **options: Any,
    ) -> _T:
        """Do as `Client.service` does, for a contract whose methods are not async."""

        def call(handler: str, args: dict[str, Any], returns: Any) -> Any:
            chosen = {"timeout": timeout, "args": args, "returns": returns, **options}
            return self.call(handler, tenant=tenant, **chosen)

        return cast("_T", Contract(contract, name, is_async=False).proxy(call))

    def _wait(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # of one that was interrupted: nobody waits any more
            raise
