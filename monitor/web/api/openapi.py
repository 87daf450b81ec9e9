"""The OpenAPI document, made of the application's routes and of what is written at their handlers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from monitor import __version__
from monitor.views.report import TIMES
from monitor.web.api.answers import ERROR_TYPES, PREFIX, encoded
from monitor.web.api.operation import FORM, HTML, JSON, PLAIN, Operation, operation, operation_of
from monitor.web.service import FORM_HEADER
from monitor.web.sessions import COOKIE

PATH = f"{PREFIX}v1/openapi.json"

_NUMBER = {"type": ["number", "null"]}  # what is no number is null
_TIME = {"type": ["string", "null"], "format": "date-time"}
_REFERENCES = "#/components/schemas/{model}"


class _Schemas(GenerateJsonSchema):
    """Schemas of what `views.report.plain` makes of values: it is asked for here what it does there."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return dict(_NUMBER)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        keys = schema.get("keys_schema")
        if keys is None or keys["type"] != "tuple":
            found = super().dict_schema(schema)
            found.pop("propertyNames", None)
            return found
        row = {"key": self.generate_inner(keys), "value": self.generate_inner(schema["values_schema"])}
        return {"type": "array", "items": {"type": "object", "properties": row, "required": list(row)}}

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        found = super().dataclass_schema(schema)
        properties = found["properties"]
        for name in TIMES.get(schema["cls"], ()):
            properties[name] = dict(_TIME)
        found["required"] = list(properties)
        return found

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # an answer has all its fields


class OpenApi:
    """The answer `/api/v1/openapi.json`; made when it is first asked for, which takes a second."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._body = b""

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get(PATH, self._show)]

    @operation("This document", data=None)
    async def _show(self, request: web.Request) -> web.Response:
        async with self._lock:
            if not self._body:
                app = request.app
                self._body = await asyncio.to_thread(lambda: encoded(document(app)))
        return web.Response(body=self._body, content_type=JSON)


def described(app: web.Application) -> Iterator[tuple[str, str, Operation | None]]:
    """Method and path of each route, and what is written at its handler."""
    for route in app.router.routes():
        if route.resource is not None and route.method != "HEAD":  # which GET brings with it
            yield route.method.lower(), route.resource.canonical, operation_of(route.handler)


def document(app: web.Application) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application. Takes a second."""
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for method, path, found in described(app):
        if found is not None:
            paths.setdefault(path, {})[method] = _operation(path, found, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Impulse Monitor",
            "version": __version__,
            "description": "docs/api.md says what each field means.",
        },
        "servers": [{"url": "../.."}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": f"With {FORM_HEADER}."},
            },
        },
    }


def _operation(path: str, found: Operation, components: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    answer: dict[str, Any] = {
        "summary": found.summary,
        "parameters": parameters + list(_query(found, components)),
        "responses": {str(found.status): _answer(found, components)}
        | {str(status): _error(path, status) for status in sorted(found.errors)},
    }
    if found.body is not None:
        content = {found.takes: {"schema": _schema(found.body, components)}}
        answer["requestBody"] = {"required": found.takes == FORM, "content": content}
    if found.changes:
        answer["security"] = [{"token": []}, {"session": []}]
    return answer


def _query(found: Operation, components: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if found.query is None:
        return
    schema = TypeAdapter(found.query).json_schema(schema_generator=_Schemas, ref_template=_REFERENCES)
    components |= schema.pop("$defs", {})
    for name, each in schema["properties"].items():
        each.pop("title", None)
        parameter = {"name": name, "in": "query", "required": False, "schema": each}
        if (text := each.pop("description", None)) is not None:
            parameter["description"] = text
        yield parameter


def _answer(found: Operation, components: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "See other" if found.status == 303 else "Good"}
    if found.media:
        answer["content"] = {media: {"schema": {"type": "string"}} for media in found.media}
    if JSON in found.media:
        properties: dict[str, Any] = {"status": {"const": "success"}}
        if found.plain:
            answer["content"][JSON] = {"schema": _schema(found.data, components)}
        elif found.data is not None:
            properties["data"] = _schema(found.data, components)
            answer["content"][JSON] = {
                "schema": {"type": "object", "properties": properties, "required": list(properties)}
            }
        else:
            answer["content"][JSON] = {"schema": {"type": "object"}}
    return answer


def _error(path: str, status: int) -> dict[str, Any]:
    if not path.startswith(PREFIX):
        return {"description": "Error", "content": {kind: {"schema": {"type": "string"}} for kind in (PLAIN, HTML)}}
    kind = ERROR_TYPES.get(status, "internal")
    properties = {"status": {"const": "error"}, "errorType": {"const": kind}, "error": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"description": kind, "content": {JSON: {"schema": schema}}}


def _schema(type_: Any, components: dict[str, Any]) -> dict[str, Any]:
    schema = TypeAdapter(type_).json_schema(mode="serialization", schema_generator=_Schemas, ref_template=_REFERENCES)
    components |= schema.pop("$defs", {})
    return schema
