"""`decode`: a reply's JSON into the structs of `wire`, also where it is not quite what Studio documents.

The fast way is msgspec's typed decoder. Where it refuses, the text is repaired (JavaScript cuts texts inside an emoji,
Python writes NaN), and then each field is read by itself: in the documented type where its value can only mean one
thing, else it is left out and counted.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from monitor.studio import wire

T = TypeVar("T")

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on a text that it cannot read; a `msgspec.ValidationError` among them, on one that it can."""

_BOM = b"\xef\xbb\xbf"
_REPLACEMENT = "\ufffd".encode()
_DEEPEST = 100
"""Nesting beyond it is cut off: what Studio documents is some 10 deep, and msgspec reads some 1,000 at most."""

_RAW_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # UTF-8 knows no such bytes
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# Each of them matches wherever it is tried, and a text that breaks off within a string to its end: one pass, whatever
# the text is.
_STRING = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_CONSTANT = re.compile(rb'((?:[^"NI]++|' + _STRING + rb")*+)(NaN|Infinity|[NI]|\Z)", re.DOTALL)
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+(?:([\[\]{}])|\Z)", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)

_WHOLE_FLOATS = 2**53
"""Floats below are whole numbers exactly."""


class _Unreadable(Exception):
    """A value that has none of the meanings its field may have."""


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {cls: msgspec.json.Decoder(cls) for cls in wire.structs()}
_any = msgspec.json.Decoder()
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(decoder: msgspec.json.Decoder[T], body: bytes | bytearray, unknown: Counter[str]) -> T:
    """What `decoder` makes of `body`, or what can be made of it field by field. Up to 100 ms for 1 MB that is not as
    documented.

    Args:
        decoder: Of a struct of `wire`, or of lists and dictionaries of such.
        body: JSON in UTF-8.
        unknown: Counts what was left out, by field.

    Raises:
        msgspec.ValidationError: A value that nothing can stand in for has the wrong type or is missing.
        msgspec.DecodeError: It is not JSON, or breaks off.
    """
    text = bytes(body.removeprefix(_BOM))
    counted: Counter[str] = Counter()  # by mending
    for repair in (_repaired, _pruned):
        left_out: Counter[str] = Counter()
        try:
            found = _read_whole(decoder, text, left_out)
        except msgspec.ValidationError:
            raise
        except MALFORMED:
            text = repair(text, counted)
        else:
            unknown.update(counted + left_out)
            return found
    try:
        found = _read_whole(decoder, text, counted)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    unknown.update(counted)
    return found


def decode_lists(decoder: msgspec.json.Decoder[list[T]], raws: Sequence[msgspec.Raw]) -> list[T] | None:
    """What a decoder of a list makes of several values at once, in half the time of one by one; None where one of them
    is not as documented.
    """
    try:
        found = decoder.decode(b"[" + b",".join(raws) + b"]")
    except MALFORMED:
        return None
    return found if len(found) == len(raws) else None


def number(text: str) -> float | None:
    """A finite decimal number as people write it; None for any other text."""
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _repaired(body: bytes, unknown: Counter[str]) -> bytes:
    """`body` with U+FFFD for lone surrogates and for bytes that are not UTF-8, and null for NaN and infinities."""
    if b"\\" in body:
        body = _ESCAPE.sub(lambda match: _REPLACEMENT if match[1] else match[0], body)
    if not _is_utf8(body):
        body = _RAW_SURROGATE.sub(_REPLACEMENT, body).decode(errors="replace").encode()
    if b"NaN" not in body and b"Infinity" not in body:
        return body
    constants = 0

    def null(match: re.Match[bytes]) -> bytes:
        nonlocal constants
        if match[2] not in (b"NaN", b"Infinity"):
            return match[0]
        constants += 1
        return match[1].removesuffix(b"-") + b"null"

    body = _CONSTANT.sub(null, body)
    unknown["number"] += constants
    return body


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pruned(body: bytes, unknown: Counter[str]) -> bytes:
    """`body` with null for every value nested more than `_DEEPEST` deep."""
    kept = []
    end = 0
    begin = 0
    depth = 0
    for match in _BRACKET.finditer(body):
        if match[1] in (b"[", b"{"):
            depth += 1
            if depth == _DEEPEST + 1:
                begin = match.start(1)
        elif match[1]:
            depth -= 1
            if depth == _DEEPEST:
                kept += [body[end:begin], b"null"]
                end = match.end()
                unknown["nesting"] += 1
    return b"".join([*kept, body[end:]])


def _read_whole(decoder: msgspec.json.Decoder[T], text: bytes, unknown: Counter[str]) -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        try:
            found: T = _read(text, inspect.type_info(decoder.type), "reply", unknown)
        except _Unreadable as unreadable:
            raise error from unreadable
        return found


def _read(raw: bytes | msgspec.Raw, kind: inspect.Type, name: str, unknown: Counter[str]) -> Any:
    """One value, in the type it should have.

    Raises:
        _Unreadable: It can have none of the type's meanings.
        msgspec.ValidationError: It lacks what is essential.
    """
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if bytes(raw) == b"null" and any(isinstance(each, inspect.NoneType) for each in kinds):
        return None
    for each in kinds:
        match each:
            case inspect.RawType():
                return msgspec.Raw(bytes(raw))
            case inspect.StructType():
                return _read_struct(raw, each, unknown)
            case inspect.ListType():
                return list(_read_list(raw, each.item_type, name, unknown))
            case inspect.DictType():
                return dict(_read_dict(raw, each.value_type, name, unknown))
    return _read_scalar(raw, frozenset(map(type, kinds)))


def _read_struct(raw: bytes | msgspec.Raw, kind: inspect.StructType, unknown: Counter[str]) -> Any:
    try:
        return _decoders[kind.cls].decode(raw)
    except msgspec.ValidationError as error:
        members = _parts(_raw_object, raw)
        values = {}
        for field in kind.fields:
            sent = field.encode_name in members
            try:
                if sent:
                    values[field.name] = _read(members[field.encode_name], field.type, field.name, unknown)
                    continue
            except _Unreadable:
                unknown[field.name] += 1
            if (field.required and getattr(kind.cls, "essential", False)) or (
                sent and field.name in getattr(kind.cls, "needed", ())
            ):
                raise msgspec.ValidationError(f"`{field.encode_name}` is missing or has the wrong type") from error
            if field.required:
                raise _Unreadable from error
        return kind.cls(**values)


def _read_list(raw: bytes | msgspec.Raw, kind: inspect.Type, name: str, unknown: Counter[str]) -> Iterator[Any]:
    """The items that can be read. One that cannot keeps its place as None where the type has that, since others are
    aligned with it.
    """
    keeps_place = isinstance(kind, inspect.UnionType) and kind.includes_none
    for item in _parts(_raw_list, raw):
        try:
            yield _read(item, kind, name, unknown)
        except _Unreadable:
            unknown[name] += 1
            if keeps_place:
                yield None


def _read_dict(
    raw: bytes | msgspec.Raw, kind: inspect.Type, name: str, unknown: Counter[str]
) -> Iterator[tuple[str, Any]]:
    """The members that can be read. One that cannot keeps its key where the type has None: a class without a confidence
    is a class.
    """
    keeps_key = isinstance(kind, inspect.UnionType) and kind.includes_none
    for key, item in _parts(_raw_object, raw).items():
        try:
            yield key, _read(item, kind, name, unknown)
        except _Unreadable:
            unknown[name] += 1
            if keeps_key:
                yield key, None


def _read_scalar(raw: bytes | msgspec.Raw, kinds: frozenset[type[inspect.Type]]) -> Any:
    is_text = inspect.StrType in kinds
    is_bool = inspect.BoolType in kinds
    try:
        value = _any.decode(raw)
    except msgspec.ValidationError as error:  # a number beyond every type
        if is_text:
            return bytes(raw).decode()
        raise _Unreadable from error
    if inspect.AnyType in kinds or (is_text and isinstance(value, str)):
        return value
    if isinstance(value, bool):
        if is_bool or is_text:
            return value if is_bool else str(value).lower()
        raise _Unreadable
    if isinstance(value, str):
        if is_bool and value.lower() in ("true", "false"):
            return value.lower() == "true"
        value = _number(value)
    if not isinstance(value, int | float):
        raise _Unreadable
    if is_text:
        return str(value)
    if is_bool and value in (0, 1):
        return bool(value)
    if inspect.IntType in kinds and (isinstance(value, int) or (value.is_integer() and abs(value) < _WHOLE_FLOATS)):
        if -(2**63) <= value < 2**63:
            return int(value)
    elif inspect.FloatType in kinds and abs(value) <= sys.float_info.max:
        return float(value)
    raise _Unreadable


def _number(text: str) -> int | float | None:
    stripped = text.strip()
    whole = stripped.removeprefix("+").removeprefix("-")
    if whole.isascii() and whole.isdecimal() and len(whole) < 20:
        return int(stripped)
    return number(text)


def _parts(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _Unreadable from error
