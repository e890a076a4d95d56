"""The JSON Schema of a configuration file, which editors check and complete against."""

from typing import Any, Final

import msgspec

from rota.scheduler.config.model import KINDS, FileSpec

_DRAFT: Final = "http://json-schema.org/draft-07/schema#"  # the latest that editors agree on
_REF: Final = "#/definitions/{name}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema, draft 07, of one configuration file."""
    (root,), definitions = msgspec.json.schema_components([FileSpec], ref_template=_REF)
    own = definitions["JobSpec"]
    own["dependencies"] = {kind: _without(*(it for it in KINDS if it != kind)) for kind in KINDS}
    own["dependencies"]["phase"] = _without("cron", "after", "at", "between", "on")
    own["dependencies"]["phases"] = _without("handler")
    own["dependencies"]["jitter"] = _without("after", "between", "on")
    definitions["BlackoutSpec"]["oneOf"] = [
        {"required": ["between"], **_without("from", "to")},
        {"required": ["from", "to"], **_without("between")},
    ]
    definitions["TemplateJob"] = {
        **own,
        "title": "TemplateJob",
        "allOf": [{"anyOf": [{"required": ["handler"]}, {"required": ["phases"]}]}],
        "anyOf": [{"required": [kind]} for kind in KINDS],
    }
    templates = definitions["FileSpec"]["properties"]["templates"]
    templates["additionalProperties"]["additionalProperties"] = {
        "$ref": _REF.format(name="TemplateJob")
    }
    return {"$schema": _DRAFT, "title": "Rota configuration", **root, "definitions": definitions}


def _without(*names: str) -> dict[str, Any]:
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}
