"""The query of `result/page`: what it selects, as the vendor documents it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.simulator.render import Record

DEFAULT_LIMIT = 100
"""Samples on a page where the query has no `limit`. The real server's is not documented."""

CATEGORIES = ("testing", "training", "validation", "post-processing")
"""What `category` may say; the first one is the default."""


class BadQuery(Exception):
    """A query that Studio would refuse."""


Test = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """One parsed query. `tests` look at a record; without any, all samples are selected and none has to be looked at."""

    limit: int
    offset: int
    variant: str | None
    impulse_id: int | None
    category: str
    tests: tuple[Test, ...]

    def select(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records that pass every test, in order."""
        if not self.tests:
            return records
        return [record for record in records if all(test(record) for test in self.tests)]


def parse(query: Mapping[str, str]) -> Query:
    """Read a query; names that select nothing here are ignored, as an HTTP server does.

    Raises:
        BadQuery: A value has the wrong form.
    """
    category = query.get("category", CATEGORIES[0])
    if category not in CATEGORIES:
        raise BadQuery(f"Invalid category {category!r}")
    tests: list[Test] = []
    if "labels" in query:
        labels = frozenset(_json(query, "labels", list[str]))
        tests.append(lambda record: record.label in labels)
    if "metadata" in query:
        tests.append(_metadata_test(_json(query, "metadata", list[dict[str, Any]])))
    if "filename" in query:
        part = query["filename"]
        tests.append(lambda record: part in record.filename)
    if "dataType" in query:
        wanted = query["dataType"]
        tests.append(lambda record: record.data_type == wanted)
    if "minId" in query:
        lowest = _integer(query, "minId", 0)
        tests.append(lambda record: record.id >= lowest)
    if "maxId" in query:
        end = _integer(query, "maxId", 0)
        tests.append(lambda record: record.id < end)
    return Query(
        limit=_integer(query, "limit", DEFAULT_LIMIT),
        offset=_integer(query, "offset", 0),
        variant=query.get("variant"),
        impulse_id=_integer(query, "impulseId", 0) if "impulseId" in query else None,
        category=category,
        tests=tuple(tests),
    )


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise BadQuery(f"{name} must be a number that is not negative, not {text!r}")
    return int(text)


def _json(query: Mapping[str, str], name: str, shape: Any) -> Any:
    try:
        return msgspec.json.decode(query[name], type=shape)
    except msgspec.MsgspecError as error:
        raise BadQuery(f"{name} is not the JSON it should be: {error}") from None


def _metadata_test(items: list[dict[str, Any]]) -> Test:
    """Filter items and option objects in one list; see the vendor's text on `metadata`."""
    no_metadata, combine, wanted = False, all, []
    for item in items:
        if "no_metadata" in item:
            no_metadata = bool(item["no_metadata"])
        elif "filters_combinator" in item:
            combine = any if item["filters_combinator"] == "or" else all
        elif isinstance(item.get("key"), str) and item.get("op") in ("eq", "neq"):
            wanted.append((item["key"], item["op"] == "eq", frozenset(item.get("values") or ())))
        else:
            raise BadQuery(f"metadata: an item wants a key and the op eq or neq: {item}")

    def matches(metadata: Mapping[str, str], key: str, positive: bool, values: frozenset[str]) -> bool:
        found = key in metadata and (not values or metadata[key] in values)
        return found == positive

    def test(record: Record) -> bool:
        if not record.metadata:
            return no_metadata
        if combine is any and not any(key in record.metadata for key, _, _ in wanted):
            return True
        return combine(matches(record.metadata, *item) for item in wanted)

    return test
