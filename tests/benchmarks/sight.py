"""Looks at a store, again and again, until something is to be seen."""

import time
from collections.abc import Callable
from typing import TypeVar

from rota.common.clock import SystemClock

_T = TypeVar("_T")
CLOCK = SystemClock()
_LOOK, _WITHIN = 0.01, 600.0  # seconds: between two looks; in which there must be something


def when(found: Callable[[], _T]) -> _T:
    """Return what is found as soon as it is something."""
    until = CLOCK.monotonic() + _WITHIN
    while not (value := found()):
        if CLOCK.monotonic() > until:
            raise TimeoutError(f"nothing was to be seen for {_WITHIN:g} s")
        time.sleep(_LOOK)
    return value
