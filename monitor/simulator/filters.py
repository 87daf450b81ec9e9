"""The query of `result/page`: what it selects, as the vendor documents it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from monitor.simulator.render import Record

T = TypeVar("T")

_texts = msgspec.json.Decoder(list[str])
_objects = msgspec.json.Decoder(list[dict[str, Any]])

DEFAULT_LIMIT = 100
"""Samples on a page where the query has no `limit`. The real server's is not documented."""

CATEGORIES = ("testing", "training", "validation", "post-processing")
"""What `category` may say; the first one is the default."""


class BadQuery(Exception):
    """A query that Studio would refuse."""


Test = Callable[[Record], bool]
Read = Callable[[Mapping[str, str], str], float]
Make = Callable[[Mapping[str, str], str], Test]


@dataclass(frozen=True, slots=True)
class Query:
    """One parsed query. `tests` look at a record; without any, all samples are selected and none
    has to be looked at.
    """

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
    return Query(
        limit=_integer(query, "limit", DEFAULT_LIMIT),
        offset=_integer(query, "offset", 0),
        variant=query.get("variant"),
        impulse_id=_integer(query, "impulseId", 0) if "impulseId" in query else None,
        category=category,
        tests=tuple(make(query, name) for name, make in _TESTS.items() if name in query),
    )


def _labels_test(query: Mapping[str, str], name: str) -> Test:
    listed = _json(query, name, _texts)
    labels = frozenset(listed)
    return lambda record: record.label in labels


def _filename_test(query: Mapping[str, str], name: str) -> Test:
    part = query[name]
    return lambda record: part in record.filename


def _search_test(query: Mapping[str, str], name: str) -> Test:
    """What Studio searches is not documented: here file name and label, without regard to case."""
    part = query[name].lower()
    return lambda record: part in record.filename.lower() or part in record.label.lower()


def _data_type_test(query: Mapping[str, str], name: str) -> Test:
    wanted = query[name]
    if wanted not in ("audio", "image"):
        raise BadQuery(f"{name} must be audio or image, not {wanted!r}")
    return lambda record: record.data_type == wanted


def _signature_test(query: Mapping[str, str], name: str) -> Test:
    wanted = query[name]
    if wanted not in ("both", "valid", "invalid"):
        raise BadQuery(f"{name} must be both, valid or invalid, not {wanted!r}")
    return lambda record: wanted == "both" or record.signed == (wanted == "valid")


def _bound(value: Callable[[Record], float], keep: Callable[[float, float], bool], read: Read) -> Make:
    def make(query: Mapping[str, str], name: str) -> Test:
        bound = read(query, name)
        return lambda record: keep(value(record), bound)

    return make


def _label_number(record: Record) -> float:
    """A label that is no number is within no bound."""
    try:
        return float(record.label)
    except ValueError:
        return math.nan


def _number(query: Mapping[str, str], name: str) -> float:
    try:
        return float(query[name])
    except ValueError:
        raise BadQuery(f"{name} must be a number, not {query[name]!r}") from None


def _id(query: Mapping[str, str], name: str) -> float:
    return _integer(query, name, 0)


def _date(query: Mapping[str, str], name: str) -> float:
    try:
        found = datetime.fromisoformat(query[name])
    except ValueError:
        raise BadQuery(f"{name} must be a date as ISO 8601 writes it, not {query[name]!r}") from None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


_TESTS: dict[str, Make] = {
    "labels": _labels_test,
    "metadata": lambda query, name: _metadata_test(_json(query, name, _objects)),
    "filename": _filename_test,
    "search": _search_test,
    "dataType": _data_type_test,
    "signatureValidity": _signature_test,
    "minId": _bound(lambda record: record.id, operator.ge, _id),
    "maxId": _bound(lambda record: record.id, operator.lt, _id),
    "minLabel": _bound(_label_number, operator.ge, _number),
    "maxLabel": _bound(_label_number, operator.lt, _number),
    "minLength": _bound(lambda record: record.length, operator.gt, _number),
    "maxLength": _bound(lambda record: record.length, operator.lt, _number),
    "minFrequency": _bound(lambda record: record.frequency, operator.gt, _number),
    "maxFrequency": _bound(lambda record: record.frequency, operator.lt, _number),
    "minDate": _bound(lambda record: record.added, operator.gt, _date),
    "maxDate": _bound(lambda record: record.added, operator.lt, _date),
}
"""Every documented filter of the query, with the bounds as the vendor words them ("longer than", ">= this value")."""


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise BadQuery(f"{name} must be a number that is not negative, not {text!r}")
    return int(text)


def _json(query: Mapping[str, str], name: str, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(query[name])
    except msgspec.MsgspecError as error:
        raise BadQuery(f"{name} is not the JSON it should be: {error}") from None


def _metadata_test(items: list[dict[str, Any]]) -> Test:
    """Filter items and option objects in one list; see the vendor's text on `metadata`."""
    no_metadata = False
    combine = all
    wanted = []
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
