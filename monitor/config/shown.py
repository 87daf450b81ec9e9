"""The running configuration as it may be shown: in the form of the file, with all defaults and without a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from monitor.config.document import Loc
from monitor.config.loading import Loaded
from monitor.logs import MASK, secrets

_NAME = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def shown(loaded: Loaded) -> dict[str, Any]:
    """The configuration as JSON values, as an operator would write it: durations as texts, what is null left out.

    A secret is `***`, of a URL that may hold one only scheme, host and port are there. What `${NAME}` stands for is
    shown as it was written. Blocks for some milliseconds with hundreds of projects.
    """
    found: dict[str, Any] = _masked(loaded.config.model_dump(mode="json", by_alias=True, exclude_none=True))
    for place, text in loaded.templates.items():
        written = text if _NAME.fullmatch(text) or not _is_secret(loaded.config, place) else MASK
        _put(found, place, secrets.mask(written))
    return found


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return secrets.mask(value) if isinstance(value, str) else value


def _put(found: dict[str, Any], place: Loc, text: str) -> None:
    """Put a text at its place; where the models have turned that into something else, in place of what it is part of,
    masked: nothing of it may be shown.
    """
    at: Any = found
    for part in place[:-1]:
        inner = at[part] if _has(at, part) else None
        if not isinstance(inner, dict | list):
            at[part] = MASK
            return
        at = inner
    at[place[-1]] = text if _has(at, place[-1]) else MASK


def _has(at: Any, part: str | int) -> bool:
    return part in at if isinstance(at, dict) else isinstance(part, int) and part < len(at)


def _is_secret(config: object, place: Loc) -> bool:
    at = config
    for part in place:
        if isinstance(at, BaseModel):
            names = {field.alias or name: name for name, field in type(at).model_fields.items()}
            at = getattr(at, names.get(str(part), ""), None)
        elif isinstance(at, Mapping):
            at = at.get(part)
        elif isinstance(at, tuple) and isinstance(part, int):
            at = at[part]
        else:
            return True
    return isinstance(at, SecretStr)
