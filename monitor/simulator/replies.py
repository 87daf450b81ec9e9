"""The bodies of the calls, made from the studio's state; no HTTP here but the status a refusal has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.simulator.faults import Action, Elsewhere, Empty, Limit, NoTotal
from monitor.simulator.filters import BadQuery, parse
from monitor.simulator.project import DAY, Impulse, Project
from monitor.simulator.render import SIGNED_AT, Json, Record, iso, learn_block
from monitor.simulator.studio import Job, Studio

NO_RESULTS = "No model testing results found, run 'startClassifyJob' first"


class Refusal(Exception):
    """`success: false` with this text; most come with HTTP 200."""

    def __init__(self, error: str, status: int = 200) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


def refusal(error: str) -> bytes:
    """The body of a failure."""
    return msgspec.json.encode({"success": False, "error": error})


def success(**fields: Any) -> bytes:
    """The body of a good reply."""
    return msgspec.json.encode({"success": True, **fields})


def page(studio: Studio, project: Project, query: Mapping[str, str], actions: Sequence[Action] = ()) -> bytes:
    """`classify/all/result/page`.

    Raises:
        Refusal: No results, no such impulse, or a bad query.
    """
    try:
        wanted = parse(query)
    except BadQuery as error:
        raise Refusal(str(error), 400) from None
    impulse = _impulse(project, wanted.impulse_id)
    if wanted.variant not in (None, "int8", "float32", "akida"):
        raise Refusal(f"Invalid model variant {wanted.variant!r}", 400)
    variant = impulse.variant(wanted.variant)
    records = project.records(impulse, variant, wanted.category) if variant else None
    if records is None:
        raise Refusal(NO_RESULTS)
    selected: Sequence[Record] = [] if any(isinstance(action, Empty) for action in actions) else wanted.select(records)
    total, limit = len(selected), wanted.limit
    for action in actions:
        if isinstance(action, Limit):
            limit = total if action.most is None else min(limit, action.most)
    shown = selected[wanted.offset : wanted.offset + limit]
    judged: Sequence[Record] = shown
    for action in actions:
        if isinstance(action, Elsewhere):
            judged = [selected[(wanted.offset + place + action.by) % total] for place in range(len(shown))]
    counted = project.api != "older" and not any(isinstance(action, NoTotal) for action in actions)
    body = b"".join(
        (
            b'{"success":true,"result":[',
            b",".join([record.result for record in shown]),
            b'],"predictions":[',
            b",".join([record.predictions for record in judged if record.predictions]),
            b'],"totalCount":%d}' % total if counted else b"]}",
        )
    )
    if project.fresh_media:
        signed = iso(studio.now() // 1 + studio.sequence())[:19].replace("-", "").replace(":", "")
        body = body.replace(SIGNED_AT, b"X-Amz-Date=%sZ" % signed.encode())
    return body


def _impulse(project: Project, impulse_id: int | None) -> Impulse:
    impulse = project.impulse(impulse_id)
    if impulse is None:
        raise Refusal(f"Cannot find impulse {impulse_id}", 404)
    return impulse


def _impulse_json(project: Project, impulse: Impulse) -> Json:
    first = impulse.id * 10
    return {
        "id": impulse.id,
        "name": impulse.name,
        "inputBlocks": [{"id": first + 1, "type": "time-series", "name": "Input", "title": "Input data"}],
        "dspBlocks": [{"id": first + 2, "type": "raw", "name": "Features", "title": "Raw data", "axes": ["all"]}],
        "learnBlocks": [learn_block(block, project.trained()) for block in project.blocks(impulse)],
    }


def impulses(project: Project) -> bytes:
    """`impulses`."""
    return success(impulses=[_impulse_json(project, impulse) for impulse in project.impulses])


def impulses_detailed(project: Project) -> bytes:
    """`impulses-detailed`."""
    state = {"isStale": project.is_stale(), "configured": True, "complete": True, "tags": []}
    return success(impulses=[{"impulse": _impulse_json(project, impulse), **state} for impulse in project.impulses])


def model_variants(project: Project, query: Mapping[str, str]) -> bytes:
    """`model-variants`.

    Raises:
        Refusal: No such impulse.
    """
    text = query.get("impulseId")
    if text is not None and not text.isdigit():
        raise Refusal(f"impulseId must be a number, not {text!r}", 400)
    impulse = _impulse(project, None if text is None else int(text))
    return success(
        modelVariants=[
            {"variant": v.name, "isReferenceVariant": v.name == "float32", "isEnabled": v.enabled, "isSelected": place == 0}
            for place, v in enumerate(impulse.variants)
        ]
    )


def project_info(project: Project) -> bytes:
    """`GET /api/{projectId}`."""
    created = iso(project.timeline.start - 120 * DAY)
    about = {"id": project.id, "name": project.name, "description": "", "created": created, "owner": project.owner}
    fields: Json = {"project": about, "defaultImpulseId": project.impulses[0].id}
    if project.anomaly_labels is not None:
        yes, no = project.anomaly_labels
        fields["anomalyLabelsConfig"] = {"anomalyLabels": list(yes), "noAnomalyLabels": list(no)}
    return success(**fields)


def key_info(project: Project) -> bytes:
    """`api-key-info`."""
    fields: Json = {"apiKeyId": project.id * 10 + 1, "projectId": project.id, "role": project.role}
    if project.expires is not None:
        fields["expires"] = iso(project.expires)
    return success(**fields)


def last_modification(project: Project) -> bytes:
    """`last-modification`."""
    return success(lastModificationDate=iso(project.timeline.time_of(project.timeline.step)))


def training_metadata(project: Project, learn_id: int, *, anomaly: bool) -> bytes:
    """`training/keras|anomaly/{learnId}/metadata`.

    Raises:
        Refusal: No such block, or one of the other family.
    """
    for impulse in project.impulses:
        for block in project.blocks(impulse):
            if block.id == learn_id and block.type.startswith("anomaly") == anomaly:
                return success(created=iso(project.trained()))
    raise Refusal(f"Cannot find learn block {learn_id}", 404)


def start_classify_job(studio: Studio, project: Project, query: Mapping[str, str], body: bytes) -> bytes:
    """`POST jobs/classify`.

    Raises:
        Refusal: The key may not start jobs, there is no such impulse, or the body is wrong.
    """
    if project.role != "admin":
        raise Refusal("This API key is not allowed to start jobs, use a key with the role admin", 403)
    text = query.get("impulseId")
    impulse_id = int(text) if text is not None and text.isdigit() else None
    _impulse(project, impulse_id)
    try:
        parameters = msgspec.json.decode(body or b"{}", type=_JobParameters)
    except msgspec.MsgspecError as error:
        raise Refusal(f"Invalid parameters: {error}", 400) from None
    return success(id=studio.start_job(project, impulse_id, parameters.model_variants).id)


class _JobParameters(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    model_variants: tuple[str, ...] | None = None
    skip_feature_generation: bool | None = None


def job_status(studio: Studio, project: Project, job_id: int) -> bytes:
    """`jobs/{jobId}/status`.

    Raises:
        Refusal: No such job.
    """
    job: Job | None = studio.jobs.get(job_id)
    if job is None or job.project is not project:
        raise Refusal(f"Cannot find job {job_id}", 404)
    about: Json = {"id": job.id, "category": "classify", "key": "classify", "created": iso(job.created), "started": iso(job.created)}
    if studio.now() >= job.ends:
        about |= {"finished": iso(job.ends), "finishedSuccessful": job.successful}
    return success(job=about)
