"""What a caller says before it is killed, and whoever comes after it."""

import asyncio
from contextlib import suppress

from rota.client import CallTimeout, Client
from tests.support.builders import GROUP

REPLIES = [2, 4, 6, 8, 10]


async def converse(url: str, tenant: str) -> list[int]:
    """Call in every way, under keys; give one call up; return what the others replied."""
    async with Client(url, group=GROUP) as client:

        async def double(n: int) -> int:
            reply: int = await client.call("double", tenant=tenant, key=f"n-{n}", n=n)
            return reply

        first = await double(1)
        with suppress(CallTimeout):
            await client.call("wait", tenant=tenant, timeout=0.1)
        some = await asyncio.gather(*(double(n) for n in (2, 3, 4)))
        job_id = await client.enqueue("double", tenant=tenant, key="later", n=5)
        return [first, *some, await client.wait(job_id)]
