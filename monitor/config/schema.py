"""The JSON schema of the configuration file, for editors: what `load` accepts, as far as a schema can say it."""

from __future__ import annotations

import json
from typing import Any

from monitor.config.models import Config

_FROM_ENVIRONMENT = "FromEnvironment"


def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the main file, generated from the shapes."""
    generated = _lean(Config.model_json_schema())
    generated["$defs"][_FROM_ENVIRONMENT] = {
        "description": "A value from the environment.",
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated, "title": "Impulse Monitor"}


def schema_text() -> str:
    """The schema as the file `config/monitor.schema.json` holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _lean(node: Any) -> Any:
    """Without pydantic's titles and null defaults, and with `${NAME}` wherever a text of any content would not do."""
    if isinstance(node, list):
        return [_lean(each) for each in node]
    if not isinstance(node, dict):
        return node
    shrink_dtype: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":  # names that are not keywords
            shrink_dtype[key] = {name: _lean(each) for name, each in value.items()}
        elif key in ("propertyNames", "default"):
            shrink_dtype[key] = value
        elif key not in ("title", "discriminator"):
            shrink_dtype[key] = _lean(value)
    if shrink_dtype.get("default", ...) is None:
        del shrink_dtype["default"]
    if (
        "const" in shrink_dtype
        or "enum" in shrink_dtype
        or "pattern" in shrink_dtype
        or shrink_dtype.get("type") in ("integer", "number")
    ):
        notes = {key: shrink_dtype.pop(key) for key in ("description", "default") if key in shrink_dtype}
        return {**notes, "anyOf": [shrink_dtype, {"$ref": f"#/$defs/{_FROM_ENVIRONMENT}"}]}
    return shrink_dtype
