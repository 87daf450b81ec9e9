"""The tables of `docs/configuration.md`, from the models: key, default and the attribute's docstring.

A table stands between two comments of its own, `<!-- table: MODEL -->` and `<!-- end of table -->`; what is around them
is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from monitor.config.alert_rules import CONDITIONS, Alert, AlertConfig
from monitor.config.base import ConfigModel
from monitor.config.models import (
    BaselineConfig,
    Config,
    ExpositionConfig,
    HttpConfig,
    LimitsConfig,
    ProjectConfig,
    Schedule,
    StudioConfig,
)
from monitor.config.receivers import NotifyConfig

SECTIONS: Mapping[type[ConfigModel], str] = {
    Config: "general",
    StudioConfig: "studio",
    LimitsConfig: "limits",
    ExpositionConfig: "exposition",
    HttpConfig: "http",
    BaselineConfig: "baseline",
    AlertConfig: "alerts",
    NotifyConfig: "notify",
    ProjectConfig: "projects",
    Schedule: "schedules",
}
"""Models with a table of their own, and the heading it stands below. The keys of other models are listed with those of
the model that has them.
"""

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """The page with its tables as the models have them now.

    Raises:
        KeyError: A table is wanted of a model that has none.
    """
    models = {model.__name__: model for model in SECTIONS}
    return _TABLE.sub(lambda found: found[1] + table(models[found[2]]) + found[3], page)


def table(model: type[ConfigModel]) -> str:
    """The Markdown table of a model's keys."""
    rows = [f"| `{key}` | {default} | {meaning} |\n" for key, default, meaning in _rows(model)]
    return "".join(["| key | default | meaning |\n", "|---|---|---|\n", *rows])


def _rows(model: type[ConfigModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in _fields(model).items():
        key = prefix + (field.alias or name)
        parts = list(_models(field.annotation))
        yield key, _default(model, name, field), _meaning(field, parts)
        for part in parts:
            if part not in SECTIONS and get_origin(_not_none(field.annotation)) is None:
                yield from _rows(part, f"{key}.")


def _fields(model: type[ConfigModel]) -> Mapping[str, FieldInfo]:
    """The keys of a model; of an alert, which has one of several shapes, those of all shapes."""
    own = model.model_fields
    if model is not AlertConfig:
        return own
    shapes = [each for each in _models(Alert) if issubclass(each, AlertConfig)]
    of_shapes = {
        name: field for shape in reversed(shapes) for name, field in shape.model_fields.items() if name not in own
    }
    conditions = {name: of_shapes.pop(name) for name in ("metric", *CONDITIONS)}
    first, *others = own
    return {first: own[first], **conditions, **of_shapes, **{name: own[name] for name in others}}


def _default(model: type[ConfigModel], name: str, field: FieldInfo) -> str:
    if name in CONDITIONS and issubclass(model, AlertConfig):
        return "one of " + ", ".join(f"`{each}`" for each in CONDITIONS)
    if name in model.exactly_one:
        return "one of " + ", ".join(f"`{each}`" for each in model.exactly_one)
    if field.is_required():
        return "required" if name in model.model_fields else ""  # else of one shape only
    if field.default is None:
        return ""
    return f"`{_written(field.default)}`"


def _written(value: Any) -> str:
    """A default as the operator would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def _meaning(field: FieldInfo, parts: list[type[ConfigModel]]) -> str:
    text = " ".join((field.description or "").split()).replace("|", "\\|")
    values = list(_values(field.annotation))
    if not all(re.search(rf"\b{re.escape(value)}\b", text) for value in values):
        text += f" One of {', '.join(f'`{value}`' for value in values)}."
    for part in dict.fromkeys(AlertConfig if issubclass(part, AlertConfig) else part for part in parts):
        if part in SECTIONS:
            text += f" See [{SECTIONS[part]}](#{SECTIONS[part]})."
    return text


def _not_none(annotation: Any) -> Any:
    """The type of a value that is written, of a key that may be absent."""
    others = [each for each in get_args(annotation) if each is not type(None)]
    return others[0] if type(None) in get_args(annotation) and len(others) == 1 else annotation


def _models(annotation: Any) -> Iterator[type[ConfigModel]]:
    """The models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def _values(annotation: Any) -> Iterator[str]:
    """The texts of which one is to be written, where the annotation is such a choice."""
    literal = _not_none(annotation)
    if get_origin(literal) is Literal:
        yield from map(str, get_args(literal))
