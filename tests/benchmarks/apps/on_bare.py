"""The ceiling: a loop that pops a hundred, decodes, runs a coroutine, acknowledges, pipelined."""

import asyncio

import msgspec
import tally
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

_BATCH = 100


def enqueue(count: int) -> None:
    """Queue the jobs."""
    redis = Redis(port=tally.PORT)
    encode = msgspec.msgpack.encode
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        redis.rpush("queue", *(encode({"handler": "noop", "number": n}) for n in numbers))


async def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def loop() -> None:
    """Take and acknowledge in one round trip for each batch."""
    redis = AsyncRedis(port=tally.PORT)
    decode = msgspec.msgpack.Decoder().decode
    done: list[int] = []
    while True:
        pipe = redis.pipeline(transaction=False)
        for number in done:
            pipe.hdel("held", number)
        pipe.lpop("queue", _BATCH)
        bodies = (await pipe.execute())[-1]
        done = []
        for body in bodies or ():
            number = decode(body)["number"]
            await noop(number)
            done.append(number)
        if not bodies:
            await asyncio.sleep(0.01)


tally.main(enqueue, lambda: asyncio.run(loop()))
