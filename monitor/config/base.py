"""`ConfigModel`: a mapping in the operator's file, which explains everything that is wrong with it at once.

The models are immutable and equal by value, so a reload can compare the old with the new. Every attribute's docstring
is also its description in the JSON schema.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

TAG = "="
"""What the names of a union's shapes begin with in pydantic's errors, so that none is a key of the file."""


def default(value: Any) -> Any:
    """A field whose default is written, and validated, as the operator would write it."""
    return Field(value, validate_default=True)


class ConfigModel(BaseModel):
    """A mapping in the file. Reports all that is wrong with it at once, in sentences that repeat no value."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        json_schema_extra=lambda schema, model: model.add_rules(schema),
    )

    exactly_one: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one must be written."""
    needs: ClassVar[Mapping[str, str]] = {}
    """Keys that mean nothing without another one."""
    misplaced: ClassVar[Mapping[str, str]] = {}
    """Keys of mappings beside this one, with the message to use here in place of `unknown key`."""
    relatives: ClassVar[tuple[str, ...]] = ()
    """Keys that a mapping may have in this one's place: what an unknown key may stand for."""
    absence: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Keys whose absence is reported at another key's place, and in which words; empty for those of the error."""
    never_empty: ClassVar[tuple[str, ...]] = ()
    """Keys that need not be written, but have a value where they are."""
    unsupported: ClassVar[Mapping[str, str]] = {}
    """Keys that the format has and this service has not, each with what to do instead."""

    @classmethod
    def add_rules(cls, schema: dict[str, Any]) -> None:
        """Add the rules between keys to the model's JSON schema."""
        if cls.exactly_one:
            schema["oneOf"] = [{"required": [name]} for name in cls.exactly_one]
            for name in cls.exactly_one:
                schema["properties"][name]["anyOf"].remove({"type": "null"})  # absent, but never empty
        for name in cls.never_empty:
            if name in schema["properties"]:
                schema["properties"][name]["anyOf"].remove({"type": "null"})
        if cls.needs:
            schema["dependentRequired"] = {name: [other] for name, other in cls.needs.items()}

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # pydantic would check rules between keys only where every key is right by itself: too late for one complete
        # report
        errors = list(cls._broken_rules(data)) if isinstance(data, Mapping) else []
        try:
            model = handler(data)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                # entries with errors of their own are not counted by pydantic
                if each["type"] != "too_short" or not each["input"]:
                    errors.append(cls._explained(each, data))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return model

    @classmethod
    def _explained(cls, error: ErrorDetails, data: Any) -> InitErrorDetails:
        """An error of pydantic's in our words, at its place or at that of the key that needs it."""
        loc = error["loc"]
        if len(loc) == 1 and loc[0] in cls.absence and isinstance(data, Mapping) and loc[0] not in data:
            place, words = cls.absence[str(loc[0])]
            return broken((place,), words or str(error["ctx"]["error"]))
        return broken(loc, _message(cls, error))

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        for name in cls.never_empty:
            if name in data and data[name] is None and name not in cls.misplaced:
                yield broken((name,), "is empty; write a value, or remove the key")
        written = [name for name in cls.exactly_one if name in data]
        for name in written:
            if data[name] is None:
                yield broken((name,), "is empty; write a value, or remove the key")
        if len(written) > 1:
            yield broken((written[-1],), f"cannot stand beside {' and '.join(written[:-1])}; remove one of them")
        elif cls.exactly_one and not written:
            yield broken((), f"needs {' or '.join(cls.exactly_one)}; write one of them")
        for name, other in cls.needs.items():
            if name in data and other not in data:
                yield broken((name,), f"means nothing without {other}; remove it, or write {other}")


def broken(loc: tuple[int | str, ...], message: str) -> InitErrorDetails:
    """An error at a place inside the model, for `ConfigModel._broken_rules`."""
    return InitErrorDetails(type=PydanticCustomError("configuration", message), loc=loc, input=None)


def _message(model: type[ConfigModel], error: ErrorDetails) -> str:
    """What is wrong and what to write instead, in place of pydantic's words; never repeats the input."""
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "missing":
        return f"has no {error['loc'][-1]}; write `{error['loc'][-1]}: ...` below it"
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        return model.misplaced.get(key) or _unknown(model, key)
    if kind == "configuration":
        return error["msg"]  # an inner model has explained it
    if error["input"] is None:
        return "is empty; write a value, or remove the key"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"write {str(context['expected']).replace(chr(39), '')}"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    sentences = {
        "model_type": "must be a mapping; write `key: value` lines below it",
        "model_attributes_type": "must be a mapping; write `key: value` lines below it",
        "dict_type": "must be a mapping; write `name: value` lines below it",
        "tuple_type": "must be a list; write [a, b], or one `- item` per line",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "string_type": "must be text; put it into quotes",
        "path_type": "must be the path of a file; put it into quotes",
        "too_short": "must not be empty; write at least one entry, or remove the key",
        "string_too_short": "must not be empty; write a value, or remove the key",
    }
    return sentences.get(kind, error["msg"])


def _unknown(model: type[ConfigModel], key: str) -> str:
    if key in model.unsupported:
        return f"is not supported here; {model.unsupported[key]}"
    known = [field.alias or name for name, field in model.model_fields.items()]
    known += [key for key in model.relatives if key not in known]
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; write one of: {', '.join(known)}"
