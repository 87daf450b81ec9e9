"""`FilterConfig`: which samples count, by the query filters that Studio documents, each under its
name in snake_case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, PlainValidator, Tag, WithJsonSchema
from pydantic_core import InitErrorDetails

from monitor.config.base import ConfigModel, broken
from monitor.config.numbers import NotNegative, Number
from monitor.config.values import Count, Text, Unique

_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"


def parse_date(value: object) -> str:
    """A date, or date and time, of ISO 8601 as the moment in UTC; without an offset it is in UTC, without a time
    midnight.

    Raises:
        ValueError: For anything else.
    """
    try:
        if not isinstance(value, str) or not re.fullmatch(_DATE, value) or value.endswith("\n"):
            raise ValueError
        date = datetime.fromisoformat(value)
        moment = (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a date; write for example 2026-01-31, or 2026-01-31T12:00:00Z") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Date = Annotated[str, PlainValidator(parse_date), WithJsonSchema({"type": "string", "pattern": _DATE})]

_RANGES: dict[str, Callable[[Any], Any]] = {
    "date": parse_date,
    "id": float,
    "label": float,
    "length": float,
    "frequency": float,
}


class MetadataFilter(ConfigModel):
    """One condition on the samples' metadata."""

    key: Text
    """The metadata key."""
    op: Literal["eq", "neq"] = "eq"
    """Whether samples with these values are taken (eq) or left out (neq)."""
    values: Annotated[tuple[Text, ...], Unique] = ()
    """The values; none means every value of the key."""


class NoMetadata(ConfigModel):
    """What becomes of samples without any metadata."""

    no_metadata: bool
    """true takes them as well; false, as without this entry, leaves them out."""


class FiltersCombinator(ConfigModel):
    """How the conditions are combined."""

    filters_combinator: Literal["and", "or"]
    """and, as without this entry: all must be met; or: any of them, and samples that have none of the keys are taken,
    too.
    """


def _kind(value: object) -> str:
    """Distinguishes the entries of a list of metadata filters, so that an error is about one of them."""
    for name in ("no_metadata", "filters_combinator"):
        if name in value if isinstance(value, Mapping) else hasattr(value, name):
            return f"option {name}"
    return "one condition"


def _options_once(items: tuple[ConfigModel, ...]) -> tuple[ConfigModel, ...]:
    for option, name in ((NoMetadata, "no_metadata"), (FiltersCombinator, "filters_combinator")):
        if sum(isinstance(item, option) for item in items) > 1:
            raise ValueError(f"has {name} more than once; keep one of them")
    if not any(isinstance(item, MetadataFilter) for item in items) and any(
        isinstance(item, FiltersCombinator) for item in items
    ):
        raise ValueError(
            "has a filters_combinator and nothing to combine; write conditions such as {key: site, values: [lab]}"
        )
    return items


MetadataItem = Annotated[
    # no two tags alike, and none a key of the file: problems are located by them
    Annotated[MetadataFilter, Tag("one condition")]
    | Annotated[NoMetadata, Tag("option no_metadata")]
    | Annotated[FiltersCombinator, Tag("option filters_combinator")],
    Discriminator(_kind),
]


class FilterConfig(ConfigModel):
    """Which samples count: those that pass all of these. Changing it starts a new baseline."""

    data_type: Literal["image", "audio"] | None = None
    """Only samples of this type."""
    labels: Annotated[tuple[Text, ...], Field(min_length=1), Unique] | None = None
    """Only samples with one of these labels."""
    metadata: Annotated[tuple[MetadataItem, ...], Field(min_length=1), AfterValidator(_options_once)] | None = None
    """A list of conditions `{key: site, op: eq, values: [lab]}`, all of which must hold; `op` is `eq` (default) or
    `neq`; without `values` every value of `key` is meant. Two options may stand in the list: `{no_metadata: true}`
    takes samples without any metadata as well; with `{filters_combinator: or}` one condition suffices, and samples that
    have none of the keys are taken, too.
    """
    filename: Text | None = None
    """Only samples whose file name holds this text."""
    search: Text | None = None
    """Only samples that Studio's own search finds by this text."""
    min_date: Date | None = None
    """Only samples that were added after this moment: `2026-01-31`, or `2026-01-31T12:00:00Z`; UTC unless it says
    otherwise.
    """
    max_date: Date | None = None
    """Only samples that were added before this moment."""
    min_id: Count | None = None
    """Only samples of this number or a larger one."""
    max_id: Count | None = None
    """Only samples of a smaller number."""
    min_label: Number | None = None
    """Only samples with a numeric label of this value or a larger one."""
    max_label: Number | None = None
    """Only samples with a numeric label of a smaller value."""
    min_length: Count | None = None
    """Only samples longer than this, in milliseconds."""
    max_length: Count | None = None
    """Only samples shorter than this, in milliseconds."""
    min_frequency: NotNegative | None = None
    """Only samples of a higher frequency than this, in hertz."""
    max_frequency: NotNegative | None = None
    """Only samples of a lower frequency than this, in hertz."""
    signature_validity: Literal["both", "valid", "invalid"] | None = None
    """Only samples with a valid, or with an invalid signature."""

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        for name, read in _RANGES.items():
            try:
                low = read(data[f"min_{name}"])
                high = read(data[f"max_{name}"])
            except (KeyError, TypeError, ValueError):
                continue  # absent, or wrong, which is said elsewhere
            if low >= high:
                yield broken(
                    (f"max_{name}",),
                    f"is not beyond min_{name}, so that no sample is left; write a larger one, or remove it",
                )

    def text(self) -> str:
        """The same text for the same filters: runs under other ones are no baseline."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, ensure_ascii=False)
