"""Everything that is wrong with one declaration, and where: for those that `resolve` refused."""

from typing import Any, Final

import msgspec
from msgspec import UNSET
from yaml.nodes import Node, SequenceNode

from rota.scheduler.config import chain, checks, field, layer, limit, phase, resolve, timing
from rota.scheduler.config.declaration import Declaration
from rota.scheduler.config.diagnostic import quoted
from rota.scheduler.config.model import (
    KINDS,
    SCHEDULE,
    DefaultsSpec,
    GroupSpec,
    HandlerSpec,
    JobSpec,
    LedgerSpec,
    TenantSpec,
)
from rota.scheduler.config.part import (
    BlackoutSpec,
    DstSpec,
    OnSpec,
    PhaseSpec,
    RetrySpec,
)
from rota.scheduler.config.reader import Pair, Pairs, Reader
from rota.scheduler.config.resolve import Ground

Base = dict[str, JobSpec | None]  # what jobs stand on, by name; None where that is not certain

_MAPPINGS: Final[dict[str, tuple[type[msgspec.Struct], str]]] = {
    "dst": (DstSpec, "not a dst setting"),
    "ledger": (LedgerSpec, "not a ledger setting"),
}
_ANY_KIND: Final = f"{', '.join(KINDS[:-1])} and {KINDS[-1]}"
_NOTHING: Final = JobSpec()  # what a job stands on that no template brings


class Inspection(Reader):
    """Looks at one declaration, node by node, and collects its problems."""

    def __init__(self, place: Declaration, ground: Ground, *, complete: bool = True) -> None:
        super().__init__(place.document)
        self._key, self._value = place.nodes()
        self._ground = ground
        self._inherited: tuple[BlackoutSpec, ...] = ()  # to which a list of blackouts adds
        self._complete = complete  # whether a name that `ground` lacks is declared nowhere

    def defaults(self) -> None:
        """Inspect the defaults."""
        pairs = self._fields(self._value, DefaultsSpec, "not a default")
        self._checks(pairs, _NOTHING)

    def group(self) -> None:
        """Inspect a group."""
        if self._plain(self._value) is not None:
            pairs = self._fields(self._value, GroupSpec, "not a group setting")
            self._checks(pairs, _NOTHING)

    def handler(self) -> None:
        """Inspect a handler's limits."""
        self._checks(self._fields(self._value, HandlerSpec, "not a handler setting"), _NOTHING)

    def template(self) -> None:
        """Inspect a template: jobs that are complete by themselves."""
        for pair in self._pairs(self._value, "jobs").values():
            self._name(pair[0])
            self._job(pair, _NOTHING)

    def tenant(self) -> None:
        """Inspect a tenant: its own fields and its jobs."""
        pairs = self._fields(self._value, TenantSpec, "not a tenant setting")
        if "group" in pairs:
            self._group_of(pairs["group"][1])
        elif not self.problems:  # or else it may be what is misspelt
            self._add(self._key, "missing field `group`", advice=self._known_groups())
        written = [name for name in pairs if self._plain(pairs[name][1]) is not None]
        unlimited = [name for name in checks.MAY_BE_NULL if name not in written]
        self._inherited = layer.first(self._ground.defaults.blackout)
        self._checks({n: pair for n, pair in pairs.items() if n not in unlimited}, _NOTHING)
        self._inherited = ()
        own = "rate_limit" in pairs
        rated = "rate_limit" in written if own else self._ground.defaults.rate_limit is not UNSET
        if "burst" in pairs and not rated:
            self._add(pairs["burst"][0], limit.BURST_ALONE, advice=limit.BURST_ADVICE)
        base = self._use(pairs["use"][1]) if "use" in pairs else {}
        jobs = self._pairs(pairs["jobs"][1], "jobs") if "jobs" in pairs else {}
        for pair in jobs.values():
            self._tenant_job(pair, base)
        plain = {name: self._plain(node) for name, (_, node) in jobs.items()}
        awaited = chain.as_written(plain, base or {})
        for job, message, advice in chain.vain(awaited, complete=base is not None):
            place = self._place(jobs[job], "on") if job in jobs else pairs["use"][1]
            self._add(place, message, advice=advice)

    def _group_of(self, node: Node) -> None:
        group = self._text(node, "the name of a group")
        if group is None or group in self._ground.groups or not self._complete:
            return
        advice = field.did_you_mean(group, self._ground.groups) or self._known_groups()
        self._add(node, f"unknown group {quoted(group)}", advice=advice)

    def _known_groups(self) -> str:
        known = ", ".join(sorted(self._ground.groups)[:5])
        return f"declared are {known}" if known else "declare it under `groups`"

    def _use(self, node: Node) -> Base | None:
        """Return the jobs that the templates bring, or None where not even their names are certain.

        A misspelt template is read as the one that it probably means, so that a job is held against
        that; one that resembles none may be any.
        """
        if type(node) is not SequenceNode:
            message = f"expected a list of templates, got {field.kind(self._plain(node))}"
            self._add(node, message, advice="write for example `use: [standard]`")
            return None
        found: Base = {}
        certain = True
        brought: dict[str, str] = {}  # job -> the template that brings it
        for item in node.value:
            name = self._text(item, "the name of a template")
            specs = self._ground.templates.get(name or "")
            if specs is None:
                guess = self._unknown_template(item, name)
                certain = certain and guess is not None
                found = {**(guess or {}), **found}
                continue
            for job in sorted(specs.keys() & brought.keys()):
                other = f"template `{brought[job]}` brings it already"
                self._add(item, f"template `{name}` brings job `{job}` again", advice=other)
            brought |= dict.fromkeys(specs, name or "")
            found |= specs
        return found if certain else None

    def _unknown_template(self, node: Node, name: str | None) -> Base | None:
        """Return what the template probably brings; None if there is no telling."""
        templates = self._ground.templates
        if name is None or name in self._ground.broken or not self._complete:
            return None
        known = frozenset(templates.keys() | self._ground.broken)
        advice = field.did_you_mean(name, known) or "declare it under `templates`"
        self._add(node, f"unknown template {quoted(name)}", advice=advice)
        meant = field.closest(name, known)
        if meant in self._ground.broken:
            return None
        return (
            dict(templates[meant])
            if meant
            else {job: None for t in templates.values() for job in t}
        )

    def _tenant_job(self, pair: Pair, base: Base | None) -> None:
        self._name(pair[0])
        name = pair[0].value
        if self._plain(pair[1]) is not None:
            self._job(pair, None if base is None else base.get(name, _NOTHING))
        elif base is not None and name not in base:
            message = f"no template brings a job {quoted(name)} that null could leave out"
            advice = (
                field.did_you_mean(name, frozenset(base))
                or "write what the job does, or delete the line"
            )
            self._add(pair[0], message, advice=advice)

    def _job(self, pair: Pair, base: JobSpec | None) -> None:
        """Inspect a job that stands on `base`; None where that is not certain."""
        before = len(self.problems)
        pairs = self._fields(pair[1], JobSpec, "not a job setting")
        misspelt = len(self.problems) > before  # or no mapping at all
        self._checks(pairs, base)
        kinds = [kind for kind in pairs if kind in KINDS]
        for kind in kinds[1:]:
            message = f"a job has one of {_ANY_KIND}; this has `{kinds[0]}` already"
            self._add(pairs[kind][0], message, advice="delete one of them")
        if "handler" in pairs and "phases" in pairs:
            self._add(pairs["phases"][0], phase.BOTH, advice=phase.BOTH_ADVICE)
        if base is not None and len(self.problems) == before:
            self._schedule(pairs, base)
        if base is not _NOTHING or misspelt:
            return
        if "handler" not in pairs and "phases" not in pairs:
            self._add(pair[0], "missing field `handler`", advice=field.HANDLER_ADVICE)
        if not kinds:
            self._add(pair[0], "missing a schedule", advice=f"add one of {_ANY_KIND}")

    def _checks(self, pairs: Pairs, base: JobSpec | None) -> None:
        for name, (_, node) in pairs.items():
            if name in checks.NONE and self._plain(node) is None:
                continue
            if name in checks.TEXTS:
                check, expected = checks.TEXTS[name]
                text = self._text(node, expected)
                if text is not None:
                    self._check(node, check, text)
            elif name in checks.VALUES:
                self._check(node, checks.VALUES[name], self._plain(node))
            elif name == "retry":
                self._retry(node, base)
            elif name in _MAPPINGS:
                self._checks(self._fields(node, *_MAPPINGS[name]), base)
            else:
                self._structure(name, node, base)

    def _structure(self, name: str, node: Node, base: JobSpec | None) -> None:
        if name == "on":
            self._on(node)
        elif name == "phases":
            self._phases(node, base)
        elif name == "blackout":
            self._blackouts(node)

    def _schedule(self, pairs: Pairs, base: JobSpec) -> None:
        """Inspect whether a kind of schedule and what goes with it go together."""
        own = {name: self._plain(pairs[name][1]) for name in SCHEDULE if name in pairs}
        full = resolve.over(msgspec.convert(own, JobSpec), base)
        if sum(getattr(full, kind) is not UNSET for kind in KINDS) != 1:
            return
        for name, check in (("phase", timing.phase), ("jitter", timing.jitter)):
            place = pairs.get(name) or next((pairs[kind] for kind in KINDS if kind in pairs), None)
            if place is not None:
                self._check(place[1], check, full)

    def _on(self, node: Node) -> None:
        pairs = self._fields(node, OnSpec, "not a trigger")
        self._checks(pairs, _NOTHING)
        if "completed" not in pairs:
            self._add(node, "missing field `completed`", advice="write `on: {completed: JOB}`")

    def _phases(self, node: Node, base: JobSpec | None) -> None:
        if type(node) is not SequenceNode:
            message = f"expected a list of phases, got {field.kind(self._plain(node))}"
            self._add(node, message, advice="write for example [{handler: orders.import}]")
            return
        self._check(node, phase.count, node.value)
        own: list[Any] = []
        for item in node.value:
            pairs = self._fields(item, PhaseSpec, "not a phase setting")
            self._checks(pairs, base)
            if "handler" not in pairs:
                self._add(item, "missing field `handler`", advice=field.HANDLER_ADVICE)
            own += [self._plain(pairs["args"][1])] if "args" in pairs else []
        self._check(node, phase.fit, own)

    def _blackouts(self, node: Node) -> None:
        if type(node) is not SequenceNode:
            message = f"expected a list of blackouts, got {field.kind(self._plain(node))}"
            self._add(node, message, advice='write for example [{between: "08:00..18:00"}]')
            return
        before = len(self.problems)
        for item in node.value:
            self._blackout(item)
        if len(self.problems) == before:
            own = msgspec.convert(self._plain(node), tuple[BlackoutSpec, ...])
            self._check(node, timing.blackouts, (*self._inherited, *own))

    def _blackout(self, node: Node) -> None:
        before = len(self.problems)
        self._checks(self._fields(node, BlackoutSpec, "not a blackout setting"), _NOTHING)
        if len(self.problems) == before:
            self._check(node, timing.blackout, msgspec.convert(self._plain(node), BlackoutSpec))

    def _retry(self, node: Node, base: JobSpec | None) -> None:
        before = len(self.problems)
        pairs = self._fields(node, RetrySpec, "not a retry setting")
        self._checks(pairs, base)
        place = pairs.get("max_backoff") or pairs.get("backoff")
        if len(self.problems) > before or base is None or place is None:
            return
        full = resolve.over(JobSpec(retry=msgspec.convert(self._plain(node), RetrySpec)), base)
        self._check(place[1], lambda it: layer.retry(it, self._ground.defaults.retry), full.retry)
