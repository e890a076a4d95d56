"""Editors get a JSON Schema that says what a file may hold."""

import json
from typing import Any, get_args

import jsonschema
import pytest

from rota.common import names
from rota.common.job import Misfire, Overlap
from rota.scheduler import config

TROUBLE = ("pause_after_failures", "probe_after", "fresh_within")
KINDS = ("cron", "every", "after", "at", "between", "on")


def definitions() -> dict[str, Any]:
    """Return the schema's definitions."""
    found: dict[str, Any] = config.schema()["definitions"]
    return found


def test_the_schema_is_plain_json_with_references_that_resolve() -> None:
    """The schema travels as JSON, is draft 07, and refers to nothing outside of itself."""
    schema = json.loads(json.dumps(config.schema()))

    found = [part.split('"')[0] for part in json.dumps(schema).split('"$ref": "#/definitions/')[1:]]
    assert "http://json-schema.org/draft-07/schema#" == schema["$schema"]
    assert "#/definitions/FileSpec" == schema["$ref"]
    assert set(found) <= set(schema["definitions"])


def test_the_schema_knows_every_field_and_no_other() -> None:
    """Every mapping of the contract names its fields and refuses unknown ones."""
    fields = {name: sorted(spec["properties"]) for name, spec in definitions().items()}

    assert all(spec["additionalProperties"] is False for spec in definitions().values())
    assert ["defaults", "groups", "handlers", "templates", "tenants"] == fields["FileSpec"]
    limits = ["burst", "max_backlog", "max_concurrency", "rate_limit", "weight"]
    assert sorted(
        ["blackout", "dst", "group", "jobs", "timezone", "use", *limits]
    ) == fields["TenantSpec"]  # fmt: skip
    rules = ["overlap", "misfire", "max_lateness", "max_catch_up"]
    assert sorted(
        ["blackout", "dst", "kill_after", "ledger", "retry", "timeout", "timezone",
         *rules, *limits, *TROUBLE]
    ) == fields["DefaultsSpec"]  # fmt: skip
    assert ["catch_up_concurrency", "ledger", "max_concurrency", "weight"] == fields["GroupSpec"]
    assert ["days", "runs"] == fields["LedgerSpec"]
    assert ["max_concurrency"] == fields["HandlerSpec"]
    assert ["fold", "gap"] == fields["DstSpec"]
    assert ["between", "from", "reason", "to"] == fields["BlackoutSpec"]
    assert ["attempts", "backoff", "max_backoff"] == fields["RetrySpec"]
    phase = ["retry_on", "max_task_size", "unsplittable", "start_while_planning", "dead_task",
             "stagger", "task_time"]  # fmt: skip
    assert sorted(["handler", "timeout", "retry", "args", *phase]) == fields["PhaseSpec"]
    assert sorted(
        ["handler", "cron", "every", "after", "at", "between", "phase", "jitter", "args",
         "timezone", "dst", "blackout", "timeout", "kill_after", *rules, "retry", "priority",
         *TROUBLE, "on", "phases", "on_failure", *phase]
    ) == fields["JobSpec"]  # fmt: skip


def test_the_schema_helps_while_typing() -> None:
    """Fields come with a description, examples, patterns and bounds."""
    job = definitions()["JobSpec"]["properties"]

    assert all("description" in job[name] for name in job.keys() - {"retry", "dst", "on"})
    assert ["15m", "1h30m"] == job["every"]["examples"]
    assert names.HANDLER_PATTERN == job["handler"]["pattern"]
    assert [*get_args(Overlap)] == job["overlap"]["enum"]
    assert [*get_args(Misfire)] == job["misfire"]["enum"]
    attempts = definitions()["RetrySpec"]["properties"]["attempts"]
    assert (1, 100) == (attempts["minimum"], attempts["maximum"])


def test_the_schema_wants_templates_complete_and_tenants_jobs_of_one_kind() -> None:
    """A template's job needs a handler and a schedule; a tenant's may lean on one, or be null."""
    template = definitions()["TemplateJob"]
    tenant = definitions()["TenantSpec"]

    assert [[{"required": ["handler"]}, {"required": ["phases"]}]] == [
        each["anyOf"] for each in template["allOf"]
    ]
    assert [{"required": [kind]} for kind in KINDS] == template["anyOf"]
    assert {*KINDS, "phase", "jitter", "phases"} == set(definitions()["JobSpec"]["dependencies"])
    assert ["group"] == tenant["required"]
    assert {"type": "null"} in tenant["properties"]["jobs"]["additionalProperties"]["anyOf"]


@pytest.mark.parametrize(
    ("job", "accepted"),
    [
        ({"every": "15m", "phase": "0s", "jitter": "30s"}, True),
        ({"at": "2026-12-24 18:00", "dst": {"gap": "skip"}, "blackout": []}, True),
        ({"between": "mon-fri 02:00..04:00"}, True),
        ({"phase": "5m"}, True),  # over a template's `every`
        ({"cron": "@daily", "phase": "5m"}, False),
        ({"between": "02:00..04:00", "jitter": "5m"}, False),
        ({"after": "5m", "jitter": "1m"}, False),
        ({"at": "2026-12-24 18:00", "every": "5m"}, False),
        ({"at": "tomorrow"}, False),
        ({"every": "5m", "dst": {"gap": "sometimes"}}, False),
        ({"every": "5m", "blackout": [{"between": "08:00..18:00", "reason": "busy"}]}, True),
        ({"blackout": [{"from": "2026-12-24 00:00", "to": "2027-01-02 06:00"}]}, True),
        ({"blackout": [{"from": "2026-12-24 00:00"}]}, False),
        ({"blackout": [{"between": "08:00..18:00", "to": "2027-01-02 06:00"}]}, False),
        ({"blackout": [{}]}, False),
        ({"every": "5m", "phases": [{"handler": "h", "max_task_size": 5}]}, True),
        ({"every": "5m", "phases": [{"handler": "h"}], "handler": "h"}, False),
        ({"every": "5m", "phases": []}, False),
        ({"every": "5m", "phases": [{"retry": {"attempts": 2}}]}, False),
        ({"handler": "h", "every": "5m", "dead_task": "ignore"}, False),
    ],
)  # fmt: skip
def test_the_schema_knows_what_goes_together(job: dict[str, Any], accepted: bool) -> None:
    """An editor underlines what `sched check` would refuse, and nothing that it takes."""
    file = {"tenants": {"a": {"group": "g", "jobs": {"j": job}}}}

    assert accepted == jsonschema.Draft7Validator(config.schema()).is_valid(file)
