"""What a store promises to keep, and whether that is enough to start on it.

memory        nothing outlives a restart
aof-everysec  a crash loses the last second at most
aof-always    a crash loses nothing that was answered
"""

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.errors import Refused, StoreError, StoreUnavailable
from rota.common.link import Link
from rota.common.settings import STRICT_LAG_MS, Settings

_ASKED = ("appendonly", "appendfsync", "min-replicas-to-write", "min-replicas-max-lag")
_KEEPS_ALL = "noeviction"


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What one server of the store promises."""

    policy: str  # maxmemory-policy; empty if the server does not tell
    replicas: int  # connected now
    name: str = ""  # memory, aof-everysec, aof-always, aof-no; empty if we may not ask
    min_replicas: int = 0  # that must be connected for a write to be taken
    max_lag_s: int = 0  # seconds that these may be silent; 0: it is not looked at

    def unfit(self, *, strict: bool) -> str:
        """Return why nobody should start on it, with what to do; empty if it is fit."""
        if self.policy not in ("", _KEEPS_ALL):
            return (
                f"it drops queued runs when it is full (maxmemory-policy {self.policy});"
                f" set maxmemory-policy {_KEEPS_ALL}"
            )
        if not strict or not self.name:
            return ""
        if self.name == "memory":
            return "ROTA_DURABILITY=strict needs a log on disk; set appendonly yes"
        most = STRICT_LAG_MS // 1000
        if self.min_replicas < 1 or not 0 < self.max_lag_s <= most:
            return (
                f"ROTA_DURABILITY=strict needs a replica for each write (min-replicas-to-write"
                f" {self.min_replicas}, min-replicas-max-lag {self.max_lag_s});"
                f" set min-replicas-to-write 1 or more and min-replicas-max-lag 1 to {most}"
            )
        return ""


async def check(settings: Settings, log: FilteringBoundLogger) -> None:
    """Log what the store promises; raise `Refused` if that is too little to start.

    Raises `StoreUnavailable` if it can't be reached. A store that does not let us read its
    configuration is only logged as unknown, unless what it tells everybody is enough to refuse it.
    """
    strict = settings.durability == "strict"
    link = Link(settings.redis_url)
    try:
        # In a cluster these may be on several masters; else all are on one server.
        served = [keys.root(group) for group in await Catalog(link).groups()] or [keys.groups()]
        seen: set[Profile] = set()
        for key in served:
            profile, problem = await _read(link, key)
            if profile not in seen:
                seen.add(profile)
                _tell(log, profile, problem, strict=strict)
                if reason := profile.unfit(strict=strict):
                    raise Refused(f"store {link.address}: {reason}")
    finally:
        await link.close()


def _tell(log: FilteringBoundLogger, profile: Profile, problem: str, *, strict: bool) -> None:
    known = {"strict": strict, "replicas": profile.replicas, "policy": profile.policy}
    if problem:
        log.warning("store_profile_unknown", error=problem, **known)
    else:
        log.info("store_profile", profile=profile.name, **known)


async def _read(link: Link, key: str) -> tuple[Profile, str]:
    """Return what the server of `key` promises, and why we may not ask, if so."""
    # What INFO tells is told by stores that are managed by others, too.
    memory = await link.command("INFO", "memory", key=key)
    replication = await link.command("INFO", "replication", key=key)
    policy = str(memory.get("maxmemory_policy", ""))
    replicas = int(replication.get("connected_slaves", 0))
    try:
        flat = await link.command("CONFIG", "GET", *_ASKED, key=key)
    except StoreUnavailable:
        raise
    except StoreError as error:
        return Profile(policy=policy, replicas=replicas), str(error)
    words = [word.decode() for word in flat]
    config = dict(zip(words[::2], words[1::2], strict=True))
    if missing := sorted(set(_ASKED) - config.keys()):
        problem = f"CONFIG GET does not tell {', '.join(missing)}"
        return Profile(policy=policy, replicas=replicas), problem
    return _profile(policy, replicas, config), ""


def _profile(policy: str, replicas: int, config: dict[str, str]) -> Profile:
    return Profile(
        policy=policy,
        replicas=replicas,
        name=f"aof-{config['appendfsync']}" if config["appendonly"] == "yes" else "memory",
        min_replicas=int(config["min-replicas-to-write"]),
        max_lag_s=int(config["min-replicas-max-lag"]),
    )
