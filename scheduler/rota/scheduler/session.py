"""One question to the store that the environment names, for commands."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rota.common.link import Link

_T = TypeVar("_T")


def ask(question: "Callable[[Link], Awaitable[_T]]") -> _T:
    """Return what `question` is answered; the link is closed behind it."""
    from rota.common import settings
    from rota.common.link import Link

    async def go() -> _T:
        given = settings.read()
        link = Link(given.redis_url, gate_ms=given.gate_ms)
        try:
            return await question(link)
        finally:
            await link.close()

    return asyncio.run(go())
