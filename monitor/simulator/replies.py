"""The bodies of the calls, made from the studio's state; no HTTP here but the status a refusal has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.simulator.faults import (
    Action,
    Elsewhere,
    Empty,
    IgnoreCategory,
    IgnoreOffset,
    Limit,
    NoPredictions,
    NoTotal,
    RefuseLimit,
    RepeatPredictions,
)
from monitor.simulator.filters import BadQuery, Query, parse
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
    wanted = _parsed(query, actions)
    impulse = _impulse(project, wanted.impulse_id)
    records = _records(project, impulse, wanted)
    if records is None:
        raise Refusal(NO_RESULTS)
    selected: Sequence[Record] = [] if _has(actions, Empty) else wanted.select(records)
    start, end = _bounds(wanted, len(selected), actions)
    shown = [record for record in selected[start:end] if record.result]
    counted = project.api != "older" and not _has(actions, NoTotal)
    body = b"".join(
        (
            b'{"success":true,"result":[',
            b",".join([record.result for record in shown]),
            b'],"predictions":[',
            b",".join(
                [record.predictions for record in _judged(selected, shown, start, actions) if record.predictions]
            ),
            b'],"totalCount":%d}' % len(selected) if counted else b"]}",
        )
    )
    return _signed_now(studio, body) if project.fresh_media else body


def _has(actions: Sequence[Action], kind: type[Action]) -> bool:
    return any(isinstance(action, kind) for action in actions)


def _parsed(query: Mapping[str, str], actions: Sequence[Action]) -> Query:
    if _has(actions, IgnoreCategory):
        query = {name: value for name, value in query.items() if name != "category"}
    try:
        wanted = parse(query)
    except BadQuery as error:
        raise Refusal(str(error), 400) from None
    if wanted.variant not in (None, "int8", "float32", "akida"):
        raise Refusal(f"Invalid model variant {wanted.variant!r}", 400)
    return wanted


def _records(project: Project, impulse: Impulse, wanted: Query) -> Sequence[Record] | None:
    variant = impulse.variant(wanted.variant)
    return project.records(impulse, variant, wanted.category) if variant else None


def _bounds(wanted: Query, total: int, actions: Sequence[Action]) -> tuple[int, int]:
    """First and last place (exclusive) of the page among the selected samples.

    Raises:
        Refusal: The server does not take such a limit.
    """
    start = 0 if _has(actions, IgnoreOffset) else wanted.offset
    limit = wanted.limit
    for action in actions:
        match action:
            case RefuseLimit(most) if wanted.limit > most:
                raise Refusal(f"Limit must not be greater than {most}")
            case Limit(None):
                limit = total
            case Limit(int(most)):
                limit = min(limit, most)
            case _:
                pass
    return start, start + limit


def _judged(
    selected: Sequence[Record], shown: Sequence[Record], start: int, actions: Sequence[Action]
) -> Sequence[Record]:
    """The records whose predictions come with a page."""
    evaluated = shown
    for action in actions:
        match action:
            case Elsewhere(by):
                evaluated = [selected[(start + place + by) % len(selected)] for place in range(len(shown))]
            case RepeatPredictions():
                evaluated = selected
            case NoPredictions():
                evaluated = []
            case _:
                pass
    return evaluated


def _signed_now(studio: Studio, body: bytes) -> bytes:
    signed = iso(studio.now() // 1 + studio.sequence())[:19].replace("-", "").replace(":", "")
    return body.replace(SIGNED_AT, b"X-Amz-Date=%sZ" % signed.encode())


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
            {
                "variant": v.name,
                "isReferenceVariant": v.name == "float32",
                "isEnabled": v.enabled,
                "isSelected": place == 0,
            }
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


def all_results(project: Project, query: Mapping[str, str], actions: Sequence[Action] = ()) -> bytes:
    """`classify/all/result`: everything at once, with Studio's own figures.

    Raises:
        Refusal: No results for another reason than changed thresholds, no such impulse, or a bad query.
    """
    wanted = _parsed(query, actions)
    impulse = _impulse(project, wanted.impulse_id)
    remedy = project.thresholds_changed(wanted.category)
    records = _records(project, impulse, wanted)
    if records is None and remedy is None:
        raise Refusal(NO_RESULTS)
    shown = [record for record in records or () if record.result]
    explorer_only = query.get("featureExplorerOnly") == "true"
    predictions: list[Json] = [found for record in shown for found in msgspec.json.decode(b"[%b]" % record.predictions)]
    fields: Json = {
        "result": [] if explorer_only else [msgspec.Raw(record.result) for record in shown],
        "predictions": predictions,
        "accuracy": _accuracy(predictions),
        "additionalMetricsByLearnBlock": [],
        "availableVariants": [v.name for v in impulse.variants if v.enabled] if shown else [],
    }
    if remedy is not None:
        fields["noResultsBecauseThresholdsChanged"] = remedy
    return success(**fields)


def _accuracy(predictions: Sequence[Json]) -> Json:
    """Studio's count of what `predictionCorrect` says, in all and per true label; the confusion counts every labelled
    window.
    """
    total = {"good": 0, "bad": 0}
    per_class: dict[str, dict[str, int]] = {}
    confusion: dict[str, dict[str, int]] = {}
    for row in predictions:
        label = row.get("label")
        correct = row.get("predictionCorrect")
        if label is not None:
            cells = confusion.setdefault(label, {})
            cells[row["prediction"]] = cells.get(row["prediction"], 0) + 1
        if correct is not None:
            side = "good" if correct else "bad"
            total[side] += 1
            per_class.setdefault(label or "", {"good": 0, "bad": 0})[side] += 1
    labels = sorted(confusion.keys() | {predicted for cells in confusion.values() for predicted in cells})
    fields: Json = {
        "totalSummary": total,
        "summaryPerClass": per_class,
        "confusionMatrixValues": confusion,
        "allLabels": labels,
    }
    if evaluated := sum(total.values()):
        fields["accuracyScore"] = total["good"] / evaluated
    return fields


def start_classify_job(
    studio: Studio, project: Project, query: Mapping[str, str], body: bytes, actions: Sequence[Action] = ()
) -> bytes:
    """`POST jobs/classify`.

    Raises:
        Refusal: The key may not start jobs, there is no such impulse, or the query or the body is wrong.
    """
    _must_be_admin(project)
    wanted = _parsed(query, actions)
    _impulse(project, wanted.impulse_id)
    try:
        parameters = _parameters.decode(body or b"{}")
    except msgspec.MsgspecError as error:
        raise Refusal(f"Invalid parameters: {error}", 400) from None
    return success(id=studio.start_job(project, wanted.impulse_id, parameters.model_variants, wanted.category).id)


def regenerate_summary(
    studio: Studio, project: Project, impulse_id: int, query: Mapping[str, str], actions: Sequence[Action] = ()
) -> bytes:
    """`POST impulse/{impulseId}/regenerate-model-testing-summary`.

    Raises:
        Refusal: The key may not start jobs, there is no such impulse, the query is wrong, or only model testing brings
            results back.
    """
    _must_be_admin(project)
    category = _parsed(query, actions).category
    impulse = _impulse(project, impulse_id)
    remedy = project.thresholds_changed(category)
    if remedy == "should_rerun_full_job":
        raise Refusal("Cannot regenerate the model testing summary for this project, run 'startClassifyJob' instead")
    if remedy is None and project.records(impulse, impulse.variants[0], category) is None:
        raise Refusal(NO_RESULTS)
    return success(id=studio.start_job(project, impulse_id, None, category, summary_only=True).id)


def _must_be_admin(project: Project) -> None:
    if project.role != "admin":
        raise Refusal("This API key is not allowed to start jobs, use a key with the role admin", 403)


class _JobParameters(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    model_variants: tuple[str, ...] | None = None
    skip_feature_generation: bool | None = None


_parameters = msgspec.json.Decoder(_JobParameters)


def job_status(studio: Studio, project: Project, job_id: int) -> bytes:
    """`jobs/{jobId}/status`.

    Raises:
        Refusal: No such job.
    """
    job: Job | None = studio.jobs.get(job_id)
    if job is None or job.project is not project:
        raise Refusal(f"Cannot find job {job_id}", 404)
    about: Json = {
        "id": job.id,
        "category": "classify",
        "key": "classify",
        "created": iso(job.created),
        "started": iso(job.created),
    }
    if job.applied:  # not by the clock: what it brought must be there once it is said to have finished
        about |= {"finished": iso(job.ends), "finishedSuccessful": job.successful}
    return success(job=about)
