"""What the documented shapes of all replies have in common."""

from __future__ import annotations

from datetime import datetime

import msgspec

Number = int | float


class Strict(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Base of all: camelCase on the wire, nothing unknown."""


class Reply(Strict):
    """Every reply; `error` where `success` is false."""

    success: bool
    error: str | None = None


class LearnBlock(Strict):
    """A learning block; `type` is left open, since it grows and unknown ones are played on purpose."""

    id: int
    type: str
    name: str
    dsp: list[int]
    title: str
    created_by: str | None = None
    created_at: datetime | None = None
