"""How long to rest between attempts."""

from random import Random

from rota.common.job import Retry


def rest_ms(retry: Retry, attempt: int, random: Random) -> int:
    """Return the rest after failed attempt number `attempt`, in milliseconds.

    Doubles with each attempt up to the limit; the upper half is random, so that jobs that failed
    together do not come back together.
    """
    ceiling = min(retry.backoff_ms << min(attempt - 1, 40), retry.max_backoff_ms)
    return ceiling - int(random.random() * (ceiling // 2))
