"""Editors get a JSON Schema that says what a file may hold."""

import json
from typing import Any

from rota.common import names
from rota.scheduler import config


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
    assert sorted(["group", "jobs", "timezone", "use", *limits]) == fields["TenantSpec"]
    assert fields["DefaultsSpec"] == sorted(
        ["kill_after", "overlap", "retry", "timeout", "timezone", *limits]
    )
    assert ["max_concurrency", "weight"] == fields["GroupSpec"]
    assert ["max_concurrency"] == fields["HandlerSpec"]
    assert ["attempts", "backoff", "max_backoff"] == fields["RetrySpec"]
    assert sorted(
        ["handler", "cron", "every", "after", "args", "timezone", "timeout", "kill_after",
         "overlap", "retry", "priority"]
    ) == fields["JobSpec"]  # fmt: skip


def test_the_schema_helps_while_typing() -> None:
    """Fields come with a description, examples, patterns and bounds."""
    job = definitions()["JobSpec"]["properties"]

    assert all("description" in job[name] for name in job if name != "retry")
    assert ["15m", "1h30m"] == job["every"]["examples"]
    assert names.HANDLER_PATTERN == job["handler"]["pattern"]
    assert ["skip", "cancel"] == job["overlap"]["enum"]
    attempts = definitions()["RetrySpec"]["properties"]["attempts"]
    assert (1, 100) == (attempts["minimum"], attempts["maximum"])


def test_the_schema_wants_templates_complete_and_tenants_jobs_of_one_kind() -> None:
    """A template's job needs a handler and a schedule; a tenant's may lean on one, or be null."""
    template = definitions()["TemplateJob"]
    tenant = definitions()["TenantSpec"]

    assert ["handler"] == template["required"]
    assert [{"required": [kind]} for kind in ("cron", "every", "after")] == template["anyOf"]
    assert {"cron", "every", "after"} == set(definitions()["JobSpec"]["dependencies"])
    assert ["group"] == tenant["required"]
    assert {"type": "null"} in tenant["properties"]["jobs"]["additionalProperties"]["anyOf"]
