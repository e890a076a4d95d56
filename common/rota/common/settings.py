"""What the environment says; read once, at the edge, and passed down."""

import os
from typing import Literal, get_args, get_type_hints

import msgspec

from rota.common import duration
from rota.common.errors import UsageError

DEFAULT_URL = "redis://127.0.0.1:6379/0"
STRICT_LAG_MS = 10_000  # the most that min-replicas-max-lag may be with ROTA_DURABILITY=strict
_SHORTEST_LEASE_MS = 2_000  # a worker gives a run up a second before its lease ends


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The environment's settings."""

    redis_url: str = DEFAULT_URL  # ROTA_REDIS_URL: the store, for every command
    log_level: Literal["debug", "info", "warning", "error"] = "info"  # ROTA_LOG_LEVEL
    log_format: Literal["auto", "json", "text"] = (
        "auto"  # ROTA_LOG_FORMAT; auto: text on a terminal
    )
    lease: str = "15s"  # ROTA_LEASE: a worker that is silent for so long has lost its runs
    durability: Literal["standard", "strict"] = "standard"  # ROTA_DURABILITY: see gate_ms

    def __post_init__(self) -> None:
        """Refuse a lease that is no duration, or too short to be renewed in time."""
        try:
            lease_ms = self.lease_ms
        except ValueError as error:
            raise ValueError(f"lease: {error}") from None
        if lease_ms < _SHORTEST_LEASE_MS:
            raise ValueError(f"lease: {self.lease} is too short; write 2s or more")

    @property
    def lease_ms(self) -> int:
        """Return the lease in milliseconds."""
        return duration.parse(self.lease)

    @property
    def gate_ms(self) -> int:
        """Return how long a store that may have lost writes stays closed, in milliseconds.

        Two renewals are enough for live workers to report what they hold. `strict` also outlasts
        every lease that an isolated old master can have given.
        """
        if self.durability == "strict":
            return STRICT_LAG_MS + self.lease_ms + 2_000
        return 2 * self.lease_ms // 3


def read(environ: dict[str, str] | None = None) -> Settings:
    """Return the settings that `environ`, or else the process environment, gives.

    Raises `UsageError` naming the variable that is wrong.
    """
    source = os.environ if environ is None else environ
    given = {
        field: source[f"ROTA_{field.upper()}"]
        for field in Settings.__struct_fields__
        if source.get(f"ROTA_{field.upper()}")
    }
    for field, value in given.items():
        _check_allowed(field, value)
        try:
            msgspec.convert({field: value}, Settings)
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at ")[0]
            raise UsageError(f"environment variable ROTA_{field.upper()}: {reason}") from None
    return msgspec.convert(given, Settings)


def _check_allowed(field: str, value: str) -> None:
    allowed = get_args(get_type_hints(Settings)[field])  # of a `Literal`; else there are none
    if allowed and value not in allowed:
        choice = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise UsageError(
            f"environment variable ROTA_{field.upper()}: {value!r} is not allowed; write {choice}"
        )
