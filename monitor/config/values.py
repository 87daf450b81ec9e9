"""The values an operator writes, as annotated types: numbers, labels, names. Others are in `durations`, `paths` and
`urls`.

Each refuses what it cannot use with a sentence that says what to write and repeats nothing of the value, which could be
a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from monitor.config.schedules import cron_trigger
from monitor.figures.groups import AUTO, NONE
from monitor.targets import LABEL_NAMES

T = TypeVar("T")

RESERVED_LABELS = frozenset(
    [
        *LABEL_NAMES,
        *("state", "job", "instance", "alertname", "alertstate", "severity", "cause_id"),
    ]
)
"""Names that the monitor's own series, Prometheus or the alerts already use."""

_METADATA = r"metadata\.\S(.*\S)?"  # a blank at an end of the key is a slip of the pen, and no sample would have it


def _whole(value: object) -> object:
    """Text is welcome (`${PORT}`), but not what Python also takes for an integer: true, 1.0, `1_000`."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,15}\s*", value):
        return int(value)
    if type(value) is int and abs(value) < 10**15:
        return value
    raise ValueError("must be a whole number; write for example 4")


Count = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1)]


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"entries {values.index(value) + 1} and {index + 1} are the same; remove one")
    return values


Unique = AfterValidator(_unique)
"""For a tuple: no value twice."""


LABEL_NAME = "^[a-zA-Z_][a-zA-Z0-9_]*$"
"""What labels and annotations may be called."""


def label_name(name: str) -> str:
    """The name of a label, be it one of the monitor's own.

    Raises:
        ValueError: It cannot be one.
    """
    if not re.fullmatch(LABEL_NAME, name) or name.endswith("\n"):
        raise ValueError("is not a label name; write letters, digits and underscores, with no digit first")
    return name


def _label_name(name: str) -> str:
    if label_name(name).startswith("__"):
        raise ValueError("is reserved by Prometheus; write a name without underscores at its start")
    if name in RESERVED_LABELS:
        raise ValueError("is a label that the monitor or Prometheus sets itself; write another name")
    return name


def _slice(name: str) -> str:
    if name != "device_name" and not re.fullmatch(_METADATA, name):
        raise ValueError("is not something to slice by; write metadata.KEY or device_name")
    return name


def _group_by(name: str) -> str:
    if name not in (AUTO, NONE) and not re.fullmatch(_METADATA, name):
        raise ValueError(f"is not something to group by; write {AUTO}, {NONE} or metadata.KEY")
    return name


def _crontab(expression: str) -> str:
    cron_trigger(expression, "UTC")
    return expression


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a plain relative path, a folder of the database
        raise ValueError(
            "is not a time zone; write a name of the IANA database, such as UTC or Europe/Berlin"
        ) from None
    return name


LabelName = Annotated[str, AfterValidator(_label_name)]
Labels = Annotated[
    Mapping[LabelName, Text],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "propertyNames": {"pattern": "^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$", "not": {"enum": sorted(RESERVED_LABELS)}},
        }
    ),
]
Slice = Annotated[
    str, AfterValidator(_slice), WithJsonSchema({"type": "string", "pattern": f"^({_METADATA}|device_name)$"})
]
GroupBy = Annotated[
    str, AfterValidator(_group_by), WithJsonSchema({"type": "string", "pattern": f"^({_METADATA}|{AUTO}|{NONE})$"})
]
Crontab = Annotated[str, AfterValidator(_crontab)]
Timezone = Annotated[str, AfterValidator(_timezone)]


def word_or_list(word: str, example: str) -> Any:
    """For the word of a choice between that word and a list: says so when it is neither."""

    def check(value: object) -> object:
        if value != word:
            raise ValueError(f"write {word}, or a list such as {example}")
        return value

    return BeforeValidator(check)


def which(value: object) -> str:
    """Discriminates between a word and a list, so that errors speak of one of them."""
    return "list" if isinstance(value, list | tuple) else "word"
