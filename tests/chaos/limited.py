"""A workload that wants more than its limits allow, all the time: all of them are in use."""

from typing import Any

from tests.chaos.workload import Workload

_AFTER = (0.2, 0.3)  # seconds between two runs of a job: it waits again at once
_GROUP_MOST = 5  # runs at a time in group `tin`
_GRIND_MOST = 3  # runs of handler `grind` at a time, in each group
_CAPPED = 2  # runs at a time of each tenant that has such a limit
_RATES = {"gold-4": (120, 3), "gold-5": (20, 5)}  # runs a minute, and the burst


class LimitedWorkload(Workload):
    """Three groups: in `gold` tenants are limited, in `silver` a handler, in `tin` the group, too.

    Together they may use 15 of the 20 places that five workers have.
    """

    def limits(self) -> list[dict[str, Any]]:
        """Return each limit with the jobs that it holds for; `full`: it is always in use."""
        grind = {g: [j.ref for j in self.jobs if (g, "grind") == (j.group, j.handler)] for g in _G}
        tin = [job.ref for job in self.jobs if job.group == "tin"]
        return [
            {"what": "group tin", "jobs": tin, "most": _GROUP_MOST, "full": True},
            *(
                {"what": f"grind in {g}", "jobs": grind[g], "most": _GRIND_MOST, "full": full}
                for g, full in _G.items()
            ),
            *(
                {"what": name, "jobs": self._of(name), "most": _CAPPED, "full": True}
                for name in _CAPPED_TENANTS
            ),
            *(
                {"what": name, "jobs": self._of(name), "interval": 60 / n, "burst": burst}
                for name, (n, burst) in _RATES.items()
            ),
        ]

    def _of(self, tenant: str) -> list[str]:
        return [job.ref for job in self.jobs if job.tenant == tenant]

    def _rest(self) -> dict[str, Any]:
        groups = {"gold": {}, "silver": {}, "tin": {"max_concurrency": _GROUP_MOST}}
        return {"groups": groups, "handlers": {"grind": {"max_concurrency": _GRIND_MOST}}}

    def _tenants(self) -> dict[str, Any]:
        gold: dict[str, Any] = {
            name: {"group": "gold", "max_concurrency": _CAPPED, "jobs": self._many(*work)}
            for name, work in _CAPPED_TENANTS.items()
        }
        for name, (n, burst) in _RATES.items():
            jobs = self._many(3, "nap", 0.05, 0.2) | self._many(2, "flaky", 0.05, 0.2)
            rate = {"rate_limit": f"{n}/m", "burst": burst}
            gold[name] = {"group": "gold", "jobs": jobs, **rate}
        marathon = self._many(3, "nap", 1.1 * self._lease, 1.3 * self._lease)
        gold["gold-2"]["jobs"] |= {"marathon": marathon["nap-0"]}
        silver = {
            f"silver-{n}": {"group": "silver", "jobs": self._many(1, "grind", 0.3, 0.8)}
            for n in range(6)
        }
        tin = {
            f"tin-{n}": {
                "group": "tin",
                "jobs": self._many(2, "nap", 0.4, 1.0) | self._many(1, "grind", 0.3, 0.8),
            }
            for n in range(6)
        }
        tenants: dict[str, Any] = gold | silver | tin
        for tenant in tenants.values():
            tenant["jobs"]["hand"] = self._by_hand()
        return tenants

    def _many(self, count: int, handler: str, low: float, high: float) -> dict[str, Any]:
        return {f"{handler}-{n}": self._job(handler, low, high, after=_AFTER) for n in range(count)}


_G = {"silver": True, "tin": False}  # groups with `grind`, and whether that limit is always in use
_CAPPED_TENANTS: dict[str, tuple[int, str, float, float]] = {
    "gold-0": (5, "nap", 0.5, 1.0),
    "gold-1": (5, "nap", 0.05, 0.3),
    "gold-2": (3, "nap", 0.5, 2.0),
    "gold-3": (4, "aside", 0.4, 0.9),
}
