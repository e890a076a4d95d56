"""A process that makes very many calls at a time, under keys, and tells how many replies it has.

`python -m caller COUNT`, in this folder
"""

import asyncio
import sys

from rota.client import Client


async def _main(count: int) -> None:
    replies = 0

    async def call(number: int) -> None:
        nonlocal replies
        found = await client.call(
            "count", tenant="acme", key=f"n-{number}", number=number, timeout=120
        )
        assert number == found
        replies += 1
        sys.stderr.write(f'"replies={replies}"\n')

    async with Client(group="bench") as client:
        await asyncio.gather(*(call(number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
