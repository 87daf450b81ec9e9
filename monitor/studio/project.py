"""`StudioProject`: the calls about one project, with its key. One method per call, replies as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from monitor.errors import InvalidReply, NoResults, StudioError
from monitor.results import Block, BlockKind
from monitor.studio import wire
from monitor.studio.caller import LONGEST_CLOSED, Caller, Pausable
from monitor.studio.client import Client
from monitor.studio.dates import timestamp
from monitor.studio.request import Answer
from monitor.text import shown

T = TypeVar("T", bound=wire.Reply)

_page = msgspec.json.Decoder(wire.Page)
_impulses = msgspec.json.Decoder(wire.Impulses)
_states = msgspec.json.Decoder(wire.ImpulseStates)
_variants = msgspec.json.Decoder(wire.Variants)
_info = msgspec.json.Decoder(wire.ProjectInfo)
_key_info = msgspec.json.Decoder(wire.KeyInfo)
_training = msgspec.json.Decoder(wire.TrainingMetadata)
_all_results = msgspec.json.Decoder(wire.AllResults)
_started = msgspec.json.Decoder(wire.JobStarted)
_status = msgspec.json.Decoder(wire.JobStatus)

LOOKED_AT = 50
"""Samples that are looked at to find out whether there are results, where the first one has none."""
_SUMMARY_SUFFICES = "can_regenerate_model_summary"
_ANOMALY_TYPES = frozenset({"anomaly", "anomaly-gmm"})


class StudioProject:
    """Calls about one project.

    Methods named `optional_…` answer None (or nothing) where Studio refuses or does not know the call: their failure
    costs only what they would have said.

    Args:
        client: Sends the requests.
        project_id: Which project.
        key: Its API key.
        closed_at_most: Seconds for which a Retry-After is honoured.
        hold: What is released while a request waits.
    """

    def __init__(
        self,
        client: Client,
        project_id: int,
        key: str,
        *,
        closed_at_most: float = LONGEST_CLOSED,
        hold: Pausable | None = None,
    ) -> None:
        self.client = client
        self.project_id = project_id
        self._caller = Caller(key, min(closed_at_most, LONGEST_CLOSED), hold)

    def on_behalf_of(self, hold: Pausable | None) -> StudioProject:
        """The same calls for one who puts `hold` down while a request waits."""
        caller = self._caller
        return StudioProject(self.client, self.project_id, caller.key, closed_at_most=caller.closed_at_most, hold=hold)

    def __repr__(self) -> str:
        return f"StudioProject({self.project_id})"

    async def _get(
        self, call: str, path: str, decoder: msgspec.json.Decoder[T], query: Mapping[str, str] | None = None
    ) -> T:
        return (await self.client.get(call, path, self._caller, decoder, query))[0]

    async def _optional(
        self, call: str, path: str, decoder: msgspec.json.Decoder[T], query: Mapping[str, str] | None = None
    ) -> T | None:
        try:
            return await self._get(call, path, decoder, query)
        except StudioError:
            return None

    async def page(self, query: Mapping[str, str]) -> tuple[wire.Page, int]:
        """One page of results and its size in bytes."""
        return await self.client.get(
            "result_page", f"/api/{self.project_id}/classify/all/result/page", self._caller, _page, query
        )

    async def page_unless(self, query: Mapping[str, str], etag: str | None) -> Answer[wire.Page]:
        """The same with its version; without the page where Studio still has the version `etag` of it."""
        return await self.client.get_unless(
            "result_page", f"/api/{self.project_id}/classify/all/result/page", self._caller, _page, query, etag=etag
        )

    async def has_results(self, impulse_id: int, variant: str, category: str) -> bool:
        """Whether Studio holds any model-testing result."""
        query = {"variant": variant, "impulseId": str(impulse_id), "category": category, "offset": "0"}
        try:
            page, _ = await self.page({**query, "limit": "1"})
            # the first sample may be one without results
            if not page.predictions and (page.result or page.total_count):
                page, _ = await self.page({**query, "limit": str(LOOKED_AT)})
        except NoResults:
            return False
        return bool(page.predictions)

    async def optional_summary_suffices(self, impulse_id: int, variant: str, category: str) -> bool:
        """Whether results are missing only because a threshold changed, and a new summary would bring them back.

        The call is heavy where there are results: ask it where there are none.
        """
        query = {"variant": variant, "impulseId": str(impulse_id), "category": category}
        reply = await self._optional("result", f"/api/{self.project_id}/classify/all/result", _all_results, query)
        return reply is not None and reply.no_results_because_thresholds_changed == _SUMMARY_SUFFICES

    async def regenerate_summary(self, impulse_id: int, category: str) -> int | None:
        """Start a job that applies changed thresholds to what model testing found before; None where it needed no job.

        Raises:
            StudioError: As `start_model_testing`; among them all that older servers, and impulses with object
                detection, answer.
        """
        path = f"/api/{self.project_id}/impulse/{impulse_id}/regenerate-model-testing-summary"
        return (
            await self.client.post(
                "regenerate_summary", path, self._caller, _started, {"category": category}, body=None
            )
        ).id

    async def start_model_testing(self, impulse_id: int, variants: Sequence[str], category: str = "testing") -> int:
        """Start a job that tests these variants of an impulse, at the expense of the project's compute; answers its
        number.

        Raises:
            AuthError: The key may not start jobs.
            Unreachable: Perhaps the job was started all the same; it was not asked for twice.
        """
        path = f"/api/{self.project_id}/jobs/classify"
        query = {"impulseId": str(impulse_id), "category": category}
        # features are generated where Studio holds that for necessary: stale ones are why we ask
        body = {"modelVariants": list(variants)}
        reply = await self.client.post("start_model_testing", path, self._caller, _started, query, body=body)
        if reply.id is None:
            raise InvalidReply(f"start_model_testing ({path}): the reply names no job")
        return reply.id

    async def job_finished(self, job_id: int) -> bool | None:
        """Whether a job ended well; None while it runs."""
        reply = await self._get("job_status", f"/api/{self.project_id}/jobs/{job_id}/status", _status)
        return reply.job.finished_successful if reply.job else None

    async def impulses(self) -> dict[int, str]:
        """Names of the project's impulses by id; the id as text where one has no name."""
        reply = await self._get("impulses", f"/api/{self.project_id}/impulses", _impulses)
        return {impulse.id: shown(impulse.name or str(impulse.id)) for impulse in reply.impulses or ()}

    async def variants(self, impulse_id: int) -> list[wire.Variant]:
        """The model variants of an impulse, also those that are not enabled."""
        path = f"/api/{self.project_id}/model-variants"
        reply = await self._get("model_variants", path, _variants, {"impulseId": str(impulse_id)})
        return reply.model_variants or []

    async def optional_variants(self, impulse_id: int) -> list[wire.Variant]:
        """The same; none where they cannot be had."""
        path = f"/api/{self.project_id}/model-variants"
        reply = await self._optional("model_variants", path, _variants, {"impulseId": str(impulse_id)})
        return (reply.model_variants if reply else None) or []

    async def optional_info(self) -> wire.ProjectInfo | None:
        """The project's name and its anomaly labels."""
        return await self._optional("project", f"/api/{self.project_id}", _info)

    async def optional_key_info(self) -> wire.KeyInfo | None:
        """What the key may do and until when."""
        return await self._optional("api_key_info", "/api/projects/api-key-info", _key_info)

    async def optional_stale_impulses(self) -> dict[int, bool]:
        """By impulse id, whether the data set changed since its features were generated; empty where unknown."""
        reply = await self._optional("impulses_detailed", f"/api/{self.project_id}/impulses-detailed", _states)
        rows = reply.impulses if reply else None
        return {
            row.impulse.id: row.is_stale for row in rows or () if row.impulse is not None and row.is_stale is not None
        }

    async def optional_trained(self, blocks: tuple[Block, ...]) -> float | None:
        """Unix time of the newest training of `blocks`; None where none is known."""
        times = [await self._trained(block) for block in blocks if block.kind is not BlockKind.UNKNOWN]
        return max((time for time in times if time is not None), default=None)

    async def _trained(self, block: Block) -> float | None:
        family = "anomaly" if block.type in _ANOMALY_TYPES else "keras"
        path = f"/api/{self.project_id}/training/{family}/{block.id}/metadata"
        reply = await self._optional("training_metadata", path, _training)
        return timestamp(reply.created) if reply else None
