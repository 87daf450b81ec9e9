"""The documented shape of every reply, strictly: a field that is missing, unknown or of another type is an error."""

from __future__ import annotations

import msgspec

from monitor.simulator.shape_base import Reply
from monitor.simulator.shape_projects import (
    Impulses,
    ImpulseStates,
    JobStarted,
    JobStatus,
    KeyInfo,
    LastModification,
    ProjectInfo,
    TrainingMetadata,
    Variants,
)
from monitor.simulator.shape_results import AllResults, DebugInfo, Page

SHAPES: dict[str, type[Reply]] = {
    "result/page": Page,
    "result": AllResults,
    "impulses": Impulses,
    "impulses-detailed": ImpulseStates,
    "model-variants": Variants,
    "project": ProjectInfo,
    "api-key-info": KeyInfo,
    "last-modification": LastModification,
    "training-metadata": TrainingMetadata,
    "start-classify-job": JobStarted,
    "regenerate-summary": JobStarted,
    "job-status": JobStatus,
}
"""The shape of a good reply, by call."""


def validate(call: str, body: bytes) -> Reply:
    """Decode a reply strictly; a refusal (`success: false`) may hold nothing but its `error`.

    Raises:
        msgspec.ValidationError: The body does not have the documented shape; the message names the place.
        msgspec.DecodeError: It is not JSON.
    """
    head = _head.decode(body)
    if not head.success:
        return _refusal.decode(body)
    reply = _replies[call].decode(body)
    if isinstance(reply, Page | AllResults):
        for result in reply.result:
            for classification in result.classifications:
                for image in classification.structured_result or ():
                    if image.debug_info_json is not None:
                        _debug_info.decode(image.debug_info_json)
    return reply


class _Head(msgspec.Struct):
    success: bool


class _Refusal(Reply, kw_only=True):
    error: str


_head = msgspec.json.Decoder(_Head)
_refusal = msgspec.json.Decoder(_Refusal)
_debug_info = msgspec.json.Decoder(DebugInfo)
_replies = {call: msgspec.json.Decoder(kind) for call, kind in SHAPES.items()}
