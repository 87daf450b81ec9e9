"""The HTTP server: aiohttp on one address, the calls' routes, keys, faults, gzip."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import msgspec
from aiohttp import web

from monitor.simulator import replies
from monitor.simulator.faults import (
    Action,
    Body,
    Change,
    Delay,
    Edit,
    Refuse,
    Reset,
    Rewrite,
    Status,
    Stream,
    Trickle,
    Truncate,
)
from monitor.simulator.project import Project
from monitor.simulator.shape import validate
from monitor.simulator.studio import Request, Studio

_log = logging.getLogger(__name__)

_PROJECT = r"/v1/api/{project:\d+}"
_ROUTES = {
    "api-key-info": ("GET", "/v1/api/projects/api-key-info"),
    "project": ("GET", _PROJECT),
    "result/page": ("GET", _PROJECT + "/classify/all/result/page"),
    "result": ("GET", _PROJECT + "/classify/all/result"),
    "impulses": ("GET", _PROJECT + "/impulses"),
    "impulses-detailed": ("GET", _PROJECT + "/impulses-detailed"),
    "model-variants": ("GET", _PROJECT + "/model-variants"),
    "last-modification": ("GET", _PROJECT + "/last-modification"),
    "training-metadata": ("GET", _PROJECT + r"/training/{family:keras|anomaly}/{learn:\d+}/metadata"),
    "start-classify-job": ("POST", _PROJECT + "/jobs/classify"),
    "regenerate-summary": ("POST", _PROJECT + r"/impulse/{impulse:\d+}/regenerate-model-testing-summary"),
    "job-status": ("GET", _PROJECT + r"/jobs/{job:\d+}/status"),
}
_BLANKS = b" " * 2**16
# compressed, a piece takes a thousandth of its size on the wire
_ZIPPED_BLANKS = b" " * 2**20
_LOOK = 60.0  # seconds between two looks whether the client of a delayed reply is still there
_ZIPS = web.RequestKey("zips", bool)
_SMALLEST_ZIPPED = 1000  # bytes; below it gzip costs more than it saves


@asynccontextmanager
async def serve(studio: Studio, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `studio` for the length of the block; gives the base URL, `http://HOST:PORT/v1`.

    Args:
        studio: May be changed meanwhile.
        host, port: Where to listen; port 0 takes a free one.

    Raises:
        OSError: The address is in use or not this machine's.
    """
    app = web.Application()
    handler = _Handler(studio)
    for call, (method, path) in _ROUTES.items():
        app.router.add_route(method, path, partial(handler.answer, call))
    app.router.add_route("*", "/{unknown:.*}", partial(handler.answer, "unknown"))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        await web.SockSite(runner, listener).start()
        number = listener.getsockname()[1]
        yield f"http://[{host}]:{number}/v1" if ":" in host else f"http://{host}:{number}/v1"
    finally:
        await runner.cleanup()


class _Handler:
    """Answers requests from a studio's state."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def answer(self, call: str, request: web.Request) -> web.StreamResponse:
        """Record, fail as the scenario says, else reply."""
        studio = self._studio
        number = request.match_info.get("project")
        project_id = None if number is None else int(number)
        key = request.headers.get("x-api-key", "")
        owner = self._owner(key)
        state = self._key_state(key, owner, project_id)
        asked = project_id
        if asked is None and owner is not None:
            asked = owner.id
        actions = studio.meet(call, asked)
        studio.requests.append(
            Request(studio.now(), request.method, call, request.path, project_id, dict(request.query), state, actions)
        )
        with studio.in_flight(key):
            try:
                return await self._answer(request, call, owner if state == "valid" else None, state, actions)
            except ConnectionResetError:  # the client has gone: no answer is needed, and this is no error
                return web.Response(status=499)

    def _owner(self, key: str) -> Project | None:
        return next((project for project in self._studio.projects.values() if project.api_key == key), None)

    def _key_state(self, key: str, owner: Project | None, project_id: int | None) -> str:
        if not key:
            return "missing"
        if owner is None:
            return "wrong"
        if owner.expires is not None and owner.expires <= self._studio.now():
            return "expired"
        return "valid" if project_id in (None, owner.id) else "foreign"

    async def _answer(
        self, request: web.Request, call: str, project: Project | None, key: str, actions: Sequence[Action]
    ) -> web.StreamResponse:
        await request.read()  # before any delay: what was sent is taken, though the client may not wait for the reply
        request[_ZIPS] = self._studio.zips
        if self._studio.latency:
            await asyncio.sleep(self._studio.latency)
        for action in actions:
            match action:
                case Delay(seconds):
                    await _delay(request, seconds)
                case Reset():
                    _reset(request)
                    return web.Response()
                case Status(code, error, retry_after):
                    headers = {} if retry_after is None else {"Retry-After": retry_after}
                    return await _send(request, replies.refusal(error), code, headers=headers)
                case Refuse(error):
                    return await _send(request, replies.refusal(error))
                case Body(content, content_type):
                    return await _send(request, content, content_type=content_type)
                case Stream(size, zipped):
                    return await _stream(request, size, zipped=zipped)
                case _:
                    pass  # the others need the true answer
        try:
            body = await self._reply(request, call, project, key, actions)
            status = 200
        except replies.Refusal as refused:
            body = replies.refusal(refused.error)
            status = refused.status
        if (
            self._studio.validate
            and status == 200
            and not any(isinstance(action, Edit | Rewrite) for action in actions)
        ):
            try:
                validate(call, body)
            except msgspec.MsgspecError as error:
                _log.error(
                    "the simulator's own reply to %s does not have the documented shape: %s", request.path, error
                )
                body = replies.refusal(f"simulator: invalid reply: {error}")
                status = 500
        share = 1.0
        trickle = None
        for action in actions:
            match action:
                case Edit(edit):
                    body = _edited(body, edit)
                case Rewrite(rewrite):
                    body = rewrite(body)
                case Truncate(part):
                    share = part
                case Trickle():
                    trickle = action
                case Change(change) if project is not None:
                    change(project)
                case _:
                    pass
        etag = self._etag(call, status, body)
        if etag is not None and request.headers.get("If-None-Match") == etag:
            self._studio.not_modified += 1
            return web.Response(status=304, headers={"ETag": etag})
        headers = {} if etag is None else {"ETag": etag}
        return await _send(request, body, status, headers=headers, share=share, trickle=trickle)

    def _etag(self, call: str, status: int, body: bytes) -> str | None:
        if not self._studio.etags or call != "result/page" or status != 200:
            return None
        if self._studio.etags == "constant":
            return '"1"'
        weak = "W/" if self._studio.etags == "weak" else ""
        return f'{weak}"{hashlib.sha256(body).hexdigest()[:32]}"'

    async def _reply(
        self, request: web.Request, call: str, project: Project | None, key: str, actions: Sequence[Action]
    ) -> bytes:
        studio = self._studio
        query = request.query
        if call == "unknown":
            raise replies.Refusal(f"Cannot find {request.method} {request.path}", 404)
        if project is None:
            raise _key_refusal(key, request.match_info.get("project"), studio)
        studio.settle_jobs()
        match call:
            case "result/page":
                return replies.page(studio, project, query, actions)
            case "result":
                return replies.all_results(project, query, actions)
            case "impulses":
                return replies.impulses(project)
            case "impulses-detailed":
                return replies.impulses_detailed(project)
            case "model-variants":
                return replies.model_variants(project, query)
            case "project":
                return replies.project_info(project)
            case "api-key-info":
                return replies.key_info(project)
            case "last-modification":
                return replies.last_modification(project)
            case "training-metadata":
                info = request.match_info
                return replies.training_metadata(project, int(info["learn"]), anomaly=info["family"] == "anomaly")
            case "start-classify-job":
                return replies.start_classify_job(studio, project, query, await request.read(), actions)
            case "regenerate-summary":
                return replies.regenerate_summary(studio, project, int(request.match_info["impulse"]), query, actions)
            case "job-status":
                return replies.job_status(studio, project, int(request.match_info["job"]))
            case _:
                raise AssertionError(call)


def _edited(body: bytes, edit: Callable[[Any], Any]) -> bytes:
    decoded = json.loads(body)
    changed = edit(decoded)
    kept = decoded if changed is None else changed
    try:
        return json.dumps(kept, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can write
        return json.dumps(kept).encode()


def _key_refusal(key: str, project: str | None, studio: Studio) -> replies.Refusal:
    if key == "missing":
        return replies.Refusal("No JWT token or API key found in headers", 401)
    if key == "expired":
        return replies.Refusal("Invalid API key, it has expired", 401)
    if key == "wrong":
        return replies.Refusal("Invalid API key", 401)
    if project is not None and int(project) not in studio.projects:
        return replies.Refusal(f"Cannot find project {project}", 404)
    return replies.Refusal("You are not allowed to access this project", 403)


async def _send(
    request: web.Request,
    body: bytes,
    status: int = 200,
    *,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
    share: float = 1.0,
    trickle: Trickle | None = None,
) -> web.StreamResponse:
    """Send a body, gzipped where the client takes it: at once, little by little, or only a share of it before the
    connection is closed. HTTP has no body for 204 and 304: none is sent.
    """
    if status in (204, 304):
        body = b""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_type = content_type
    takes_gzip = request.get(_ZIPS, True) and "gzip" in request.headers.get("Accept-Encoding", "")
    if takes_gzip and len(body) >= _SMALLEST_ZIPPED:
        body = zlib.compress(body, level=1, wbits=31)
        response.headers["Content-Encoding"] = "gzip"
    response.content_length = len(body)
    if share < 1.0:
        response.force_close()
        await response.prepare(request)
        await response.write(body[: int(len(body) * share)])
        if request.transport is not None:
            request.transport.close()
        return response
    await response.prepare(request)
    size = len(body) if trickle is None else trickle.size
    for start in range(0, len(body), max(size, 1)):
        if trickle is not None:
            await asyncio.sleep(trickle.seconds)
        await response.write(body[start : start + size])
    await response.write_eof()
    return response


async def _delay(request: web.Request, seconds: float) -> None:
    """Sleep so long, but not much longer than the client waits: requests that hang would else pile up for hours."""
    ends = asyncio.get_running_loop().time() + seconds
    while (left := ends - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(min(left, _LOOK))
        if request.transport is None or request.transport.is_closing():
            return


async def _stream(request: web.Request, size: int | None, *, zipped: bool) -> web.StreamResponse:
    """Send so many blanks, or blanks without end, until the client has gone."""
    response = web.StreamResponse()
    response.content_type = "application/json"
    opening = b""
    piece = _BLANKS
    blanks = _BLANKS
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
        opening, piece = _zipped_blanks()
        blanks = _ZIPPED_BLANKS
    await response.prepare(request)
    left = math.inf if size is None else size - len(blanks) * zipped
    with contextlib.suppress(ConnectionError):  # the client has had enough
        await response.write(opening)
        while left > 0:
            await response.write(piece if zipped or left >= len(piece) else piece[: int(left)])
            left -= len(blanks)
        await response.write_eof()
    return response


@cache
def _zipped_blanks() -> tuple[bytes, bytes]:
    """Blanks as gzip has them: the first piece, with its header, and any other one."""
    packer = zlib.compressobj(wbits=31)
    first, other = (packer.compress(_ZIPPED_BLANKS) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first, other


def _reset(request: web.Request) -> None:
    """Close with RST instead of FIN, as a host does that lost the connection."""
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
