"""Lays what is written over what it stands on."""

from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from rota.common import duration
from rota.common.job import Retry
from rota.scheduler.config import field
from rota.scheduler.config.field import FieldError
from rota.scheduler.config.part import (
    RetrySpec,
)

_T = TypeVar("_T")
_S = TypeVar("_S", bound=msgspec.Struct)
_CACHED: Final = 4096  # different retries that jobs share


def first(*choices: _T | UnsetType) -> _T:
    """Return the first that is set; the last always is."""
    return next(choice for choice in choices if not isinstance(choice, UnsetType))


def over(upper: _S, lower: _S) -> _S:
    """Return a struct with the fields of `upper`, and of `lower` where those are not set."""
    fields: dict[str, Any] = {}
    for name in upper.__struct_fields__:
        high = getattr(upper, name)
        if high is not UNSET:
            low = getattr(lower, name)
            both = isinstance(high, msgspec.Struct) and isinstance(low, msgspec.Struct)
            fields[name] = over(high, low) if both else high
    return msgspec.structs.replace(lower, **fields)


@lru_cache(_CACHED)
def retry(spec: RetrySpec | UnsetType, base: RetrySpec | UnsetType) -> Retry:
    """Return what `spec` says, and `base` where that says nothing."""
    full = base if isinstance(spec, UnsetType) else over(spec, first(base))
    assert isinstance(full, RetrySpec)
    backoff = field.length(first(full.backoff))
    longest = field.length(first(full.max_backoff))
    if longest < backoff:
        raise FieldError(
            f"max_backoff, {duration.text(longest)}, is shorter than backoff, "
            f"{duration.text(backoff)}",
            "max_backoff bounds the rest that doubles from backoff on; set both",
        )
    return Retry(
        attempts=field.attempts(first(full.attempts)),
        backoff_ms=backoff,
        max_backoff_ms=longest,
    )
