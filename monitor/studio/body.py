"""The body of a reply, read in one piece within limits of size and time."""

from __future__ import annotations

import asyncio

import aiohttp

from monitor.studio.refusals import BodyTooLarge

BODY_LIMIT = 16 * 2**20
"""Bytes of one reply's body, unpacked; a page beyond it is asked for again in smaller pieces."""
TRICKLE_BYTES = 1024
"""A body of which less than this comes in `TRICKLE_SECONDS` is given up: one byte a second would hold a slot for the
whole timeout.
"""
TRICKLE_SECONDS = 10.0


async def read_body(response: aiohttp.ClientResponse, where: str) -> bytearray:
    """The body, in one piece and never a second one; it may not be endless, nor trickle.

    Args:
        response: Whose.
        where: The call and its path, for errors.

    Raises:
        BodyTooLarge: It has more than `BODY_LIMIT` bytes.
        TimeoutError: It trickles.
    """
    body = bytearray()
    enough = TRICKLE_BYTES
    now = asyncio.get_running_loop().time
    async with asyncio.timeout(TRICKLE_SECONDS) as trickle:
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > BODY_LIMIT:
                body.clear()  # the error's traceback holds it for as long as the error is held
                raise BodyTooLarge(f"{where}: the reply is larger than {BODY_LIMIT >> 20} MiB")
            if len(body) >= enough:
                enough = len(body) + TRICKLE_BYTES
                trickle.reschedule(now() + TRICKLE_SECONDS)
    return body
