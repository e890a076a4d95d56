"""Fixtures for every suite: a real store in memory, and tests that are coroutines.

A test may be `async def`: it runs on the event loop of its own `runner`, the same on which the
fixtures connect and disconnect. A test that is no coroutine (a property test, say) takes `runner`
and calls `runner.run(coroutine)`.

    async def test_promise(store: Store) -> None: ...
"""

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.store import Store


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on its runner's loop; leave every other test alone."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    runner = pyfuncitem.funcargs["runner"]
    assert isinstance(runner, asyncio.Runner)
    runner.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def runner() -> Iterator[asyncio.Runner]:
    """Return the test's own event loop; its fixtures and the test share it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedStore]:
    """Return the store's server, one for all tests. Don't reconfigure it: start one of your own."""
    with EmbeddedStore() as server:
        yield server


@pytest.fixture
def url(server: EmbeddedStore, runner: asyncio.Runner) -> str:
    """Return the address of a store that is empty and has forgotten its scripts."""
    runner.run(_empty(server.url))
    return server.url


@pytest.fixture
def store(url: str, runner: asyncio.Runner) -> Iterator[Store]:
    """Return an empty store; its connections are closed after the test."""
    store = Store(Link(url))
    yield store
    runner.run(store.link.close())


async def _empty(url: str) -> None:
    link = Link(url)
    await link.pipeline([("FLUSHALL",), ("SCRIPT", "FLUSH")])
    await link.close()
