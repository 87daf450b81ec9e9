"""The JSON schema of the configuration file, for editors: what `load` accepts, as far as a schema can say it."""

from __future__ import annotations

import json
from typing import Any

from monitor.config.models import Config

_FROM_ENVIRONMENT = "FromEnvironment"


def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the main file, generated from the models."""
    generated = _slim(Config.model_json_schema())
    generated["$defs"][_FROM_ENVIRONMENT] = {
        "description": "A value from the environment.",
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated, "title": "Impulse Monitor"}


def schema_text() -> str:
    """The schema as the file `config/monitor.schema.json` holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _slim(node: Any) -> Any:
    """Without pydantic's titles and null defaults, and with `${NAME}` wherever a text of any content would not do."""
    if isinstance(node, list):
        return [_slim(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":  # names that are not keywords
            kept[key] = {name: _slim(each) for name, each in value.items()}
        elif key in ("propertyNames", "default"):
            kept[key] = value
        elif key not in ("title", "discriminator"):
            kept[key] = _slim(value)
    if kept.get("default", ...) is None:
        del kept["default"]
    if "const" in kept or "enum" in kept or "pattern" in kept or kept.get("type") in ("integer", "number"):
        notes = {key: kept.pop(key) for key in ("description", "default") if key in kept}
        return {**notes, "anyOf": [kept, {"$ref": f"#/$defs/{_FROM_ENVIRONMENT}"}]}
    return kept
