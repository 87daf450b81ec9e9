"""Every call over HTTP: good replies, keys, failures, paging and filters."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.simulator import Impulse, Project, Studio, projects, replies
from monitor.simulator.faults import IgnoreCategory

Serving = Callable[[Studio], Awaitable[Any]]
PAGE = "classify/all/result/page"


def seconds(text: str) -> float:
    """Unix time of an ISO date."""
    return datetime.fromisoformat(text).timestamp()


async def test_discovery_calls(serving: Serving) -> None:
    """Impulses, variants, project, key and dates are as the project was made, in the documented shape."""
    project = projects.kmeans(impulses=projects.two_impulses().impulses, role="admin", expires=1_900_000_000.0)
    studio = Studio([project], validate=True)
    client = await serving(studio)

    _, impulses = await client.get(project, f"{project.id}/impulses")
    assert [(i["id"], i["name"]) for i in impulses["impulses"]] == [(1, "spectral"), (2, "raw 1d-conv")]
    assert [[b["type"] for b in i["learnBlocks"]] for i in impulses["impulses"]] == [["keras", "anomaly"]] * 2
    ids = [block["id"] for impulse in impulses["impulses"] for block in impulse["learnBlocks"]]
    assert len(set(ids)) == 4

    _, variants = await client.get(project, f"{project.id}/model-variants", impulseId=2)
    assert [(v["variant"], v["isEnabled"]) for v in variants["modelVariants"]] == [("int8", True)]

    _, about = await client.get(project, str(project.id))
    assert (about["project"]["name"], about["defaultImpulseId"]) == ("vibration-press-line", 1)
    assert about["anomalyLabelsConfig"] == {
        "anomalyLabels": ["anomaly"],
        "noAnomalyLabels": ["idle", "jam", "pressing"],
    }

    _, key = await client.get(project, "projects/api-key-info")
    assert (key["projectId"], key["role"], seconds(key["expires"])) == (project.id, "admin", 1_900_000_000.0)

    ground = studio.ground(project.id)
    assert ground is not None
    for family, block in (("keras", ids[0]), ("anomaly", ids[1])):
        _, training = await client.get(project, f"{project.id}/training/{family}/{block}/metadata")
        assert seconds(training["created"]) == pytest.approx(ground.trained, abs=0.001)
    status, wrong = await client.get(project, f"{project.id}/training/anomaly/{ids[0]}/metadata")
    assert (status, wrong["success"]) == (404, False)


async def test_impulses_become_stale_and_modification_moves(serving: Serving) -> None:
    """New samples make the impulse stale; the date of the last change follows the steps."""
    project = projects.classification(sizes={"testing": 5})
    studio = Studio([project], validate=True)
    client = await serving(studio)
    studio.timeline.pin(3)
    _, before = await client.get(project, f"{project.id}/impulses-detailed")
    project.add(1)
    studio.timeline.advance()
    _, after = await client.get(project, f"{project.id}/impulses-detailed")
    _, modified = await client.get(project, f"{project.id}/last-modification")

    assert [before["impulses"][0]["isStale"], after["impulses"][0]["isStale"]] == [False, True]
    assert seconds(modified["lastModificationDate"]) == pytest.approx(studio.timeline.time_of(4), abs=0.001)


async def test_keys_that_do_not_work(serving: Serving) -> None:
    """No key, a wrong one, an expired one and another project's are refused in the vendor's shape, and recorded as
    such.
    """
    project, other = projects.classification(sizes={"testing": 2}), projects.fomo(sizes={"testing": 2})
    studio = Studio([project, other])
    client = await serving(studio)
    found = []
    for key in ("", "ei_wrong", other.api_key):
        status, body = await client.get(project, f"{project.id}/{PAGE}", key=key)
        assert body["success"] is False
        assert body["error"]
        found.append(status)
    project.expires = studio.now() - 1
    status, body = await client.get(project, f"{project.id}/impulses")

    assert [*found, status] == [401, 401, 403, 401]
    assert "expired" in body["error"]
    assert [request.key for request in studio.requests] == ["missing", "wrong", "foreign", "expired"]


async def test_what_does_not_exist(serving: Serving) -> None:
    """Unknown projects, impulses, jobs and paths are 404 with the vendor's shape."""
    project = projects.classification(sizes={"testing": 2})
    client = await serving(Studio([project]))

    for path, query in (
        ("999/impulses", {}),
        (f"{project.id}/{PAGE}", {"impulseId": 7}),
        (f"{project.id}/model-variants", {"impulseId": 7}),
        (f"{project.id}/jobs/5/status", {}),
        (f"{project.id}/nothing/here", {}),
    ):
        status, body = await client.get(project, path, **query)
        assert (status, body["success"]) == (404, False), path
        assert "Cannot find" in body["error"]


async def test_no_results_come_with_status_200(serving: Serving) -> None:
    """A variant or category that was never tested is `success: false` at HTTP 200 with the vendor's text."""
    project = projects.classification(sizes={"testing": 2})
    client = await serving(Studio([project], validate=True))

    for query in ({"variant": "float32"}, {"category": "training"}):
        status, body = await client.get(project, f"{project.id}/{PAGE}", **query)
        assert (status, body) == (
            200,
            {"success": False, "error": "No model testing results found, run 'startClassifyJob' first"},
        )


@pytest.mark.parametrize(
    "query",
    [
        {"variant": "int4"},
        {"limit": "-1"},
        {"offset": "x"},
        {"category": "all"},
        {"labels": "idle"},
        {"metadata": '[{"key": "a", "op": "gt"}]'},
    ],
)
async def test_bad_queries_are_refused(query: dict[str, str], serving: Serving) -> None:
    """A value of the wrong form is 400, naming what is wrong."""
    project = projects.classification(sizes={"testing": 2})
    client = await serving(Studio([project]))
    status, body = await client.get(project, f"{project.id}/{PAGE}", **query)

    assert (status, body["success"]) == (400, False)
    assert next(iter(query)) in body["error"]


async def test_without_names_the_server_chooses(serving: Serving) -> None:
    """Without impulse, variant and limit the default impulse, its first variant and some page size are served."""
    project = projects.two_impulses(sizes={"testing": 120})
    client = await serving(Studio([project]))
    chosen, named = await client.page(project), await client.page(project, impulseId=1, variant="int8", limit=100)

    assert chosen["predictions"] == named["predictions"]
    assert (len(chosen["result"]), chosen["totalCount"]) == (100, 120)


async def test_gzip_where_asked(serving: Serving) -> None:
    """A client that takes gzip gets it; one that does not gets plain JSON."""
    project = projects.classification(sizes={"testing": 20})
    project.fresh_media = False
    client = await serving(Studio([project]))
    bodies = {}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for encoding in ("gzip", "identity"):
            headers = {"x-api-key": project.api_key, "Accept-Encoding": encoding}
            async with session.get(f"{client.url}/api/{project.id}/{PAGE}", headers=headers) as response:
                bodies[response.headers.get("Content-Encoding")] = await response.read()

    assert set(bodies) == {"gzip", None}
    assert gzip.decompress(bodies["gzip"]) == bodies[None]


async def test_signed_urls_differ_between_equal_pages(serving: Serving) -> None:
    """Two pages of the same content are not the same bytes, as with real signed URLs; their content is equal."""
    project = projects.classification(sizes={"testing": 3})
    client = await serving(Studio([project], validate=True))
    first, second = await client.page(project), await client.page(project)

    assert first["predictions"] == second["predictions"]
    assert first["result"][0]["sample"]["videoUrl"] != second["result"][0]["sample"]["videoUrl"]
    for page in (first, second):
        for row in page["result"]:
            for name in ("thumbnailVideo", "thumbnailVideoFull", "videoUrl", "videoUrlFull"):
                del row["sample"][name]
    assert first == second


def numbers(project: Project, **query: object) -> list[int]:
    """Ids of one page, without HTTP."""
    body = replies.page(Studio([project]), project, {name: str(value) for name, value in query.items()})
    return [row["sampleId"] for row in json.loads(body)["result"]]


@given(limit=st.integers(0, 30), offset=st.integers(0, 30))
def test_pages_are_slices(limit: int, offset: int) -> None:
    """Any limit and offset select that slice of the whole, in ascending order of id."""
    project = projects.freeform(sizes={"testing": 17})
    whole = numbers(project, limit=100)

    assert whole == sorted(set(whole))
    assert numbers(project, limit=limit, offset=offset) == whole[offset : offset + limit]


def test_keyset_paging() -> None:
    """`minId` is inclusive, `maxId` exclusive, and both combine with a limit."""
    project = projects.freeform(sizes={"testing": 17})
    whole = numbers(project, limit=100)

    assert numbers(project, minId=whole[5], limit=3) == whole[5:8]
    assert numbers(project, minId=whole[5], maxId=whole[7]) == whole[5:7]


@pytest.mark.parametrize(
    ("query", "keep"),
    [
        ({"labels": '["idle", "wave"]'}, lambda s: s.label in ("idle", "wave")),
        ({"filename": "snake."}, lambda s: "snake." in s.filename),
        ({"dataType": "image"}, lambda s: False),
        ({"metadata": '[{"key":"site","op":"eq","values":["lab"]}]'}, lambda s: s.metadata.get("site") == "lab"),
        (
            {"metadata": '[{"key":"site","op":"neq","values":["lab"]}]'},
            lambda s: s.metadata and s.metadata["site"] != "lab",
        ),
        ({"metadata": '[{"key":"site","op":"eq"}]'}, lambda s: bool(s.metadata)),
        (
            {"metadata": '[{"no_metadata":true},{"key":"site","op":"eq","values":["lab"]}]'},
            lambda s: s.metadata.get("site", "lab") == "lab",
        ),
        (
            {"metadata": '[{"key":"site","op":"eq","values":["lab"]},{"key":"line","op":"eq","values":["1","2"]}]'},
            lambda s: s.metadata.get("site") == "lab" and s.metadata["line"] in "12",
        ),
        (
            {
                "metadata": '[{"filters_combinator":"or"},{"key":"site","op":"eq","values":["lab"]},'
                '{"key":"line","op":"eq","values":["1"]}]'
            },
            lambda s: s.metadata.get("site") == "lab" or s.metadata.get("line") == "1",
        ),
    ],
)
def test_filters(query: dict[str, str], keep: Callable[[Any], bool]) -> None:
    """Labels, file names, data type and metadata select the samples they describe, and `totalCount` counts those."""
    project = projects.classification(sizes={"testing": 150})
    ground = project.ground()
    assert ground is not None
    expected = [sample.id for sample in ground.samples if keep(sample)]
    body = json.loads(replies.page(Studio([project]), project, {"limit": "200", **query}))

    assert [row["sampleId"] for row in body["result"]] == expected
    assert body["totalCount"] == len(expected)
    assert {row["sampleId"] for row in body["predictions"]} == set(expected)
    assert 0 <= len(expected) < 150


@pytest.mark.parametrize(
    ("make", "query", "keep"),
    [
        (projects.keywords, {"dataType": "audio"}, lambda s: True),
        (projects.fomo, {"dataType": "audio"}, lambda s: False),
        (projects.classification, {"signatureValidity": "valid"}, lambda s: s.signed),
        (projects.classification, {"signatureValidity": "invalid"}, lambda s: not s.signed),
        (projects.classification, {"signatureValidity": "both"}, lambda s: True),
        (projects.classification, {"search": "SNAKE"}, lambda s: "snake" in s.filename or "snake" in s.label),
        (projects.regression, {"minLabel": "50", "maxLabel": "60.5"}, lambda s: 50 <= float(s.label) < 60.5),
        (projects.classification, {"minLabel": "0"}, lambda s: False),
        (projects.classification, {"minLength": "999"}, lambda s: True),
        (projects.classification, {"minLength": "1000"}, lambda s: False),
        (projects.classification, {"maxLength": "1000"}, lambda s: False),
        (projects.classification, {"maxLength": "1001"}, lambda s: True),
        (projects.classification, {"minFrequency": "62.4", "maxFrequency": "62.6"}, lambda s: True),
        (projects.classification, {"minFrequency": "62.5"}, lambda s: False),
        (projects.classification, {"minDate": "2023-09-01T00:00:00Z"}, lambda s: s.added > 1_693_526_400),
        (projects.classification, {"maxDate": "2023-09-01T00:00:00.000+00:00"}, lambda s: s.added < 1_693_526_400),
    ],
)
def test_every_documented_filter(make: Any, query: dict[str, str], keep: Callable[[Any], bool], by_hand: Any) -> None:
    """Data type, signature, search, and the bounds of label, length, frequency and date select what the vendor's words
    say.
    """
    project = make(sizes={"testing": 150})
    studio = Studio([project], clock=by_hand)
    ground = project.ground()
    assert ground is not None
    expected = [sample.id for sample in ground.samples if keep(sample)]
    body = json.loads(replies.page(studio, project, {"limit": "200", **query}))

    assert ([row["sampleId"] for row in body["result"]], body["totalCount"]) == (expected, len(expected))
    if "Date" in next(iter(query)) or "signature" in next(iter(query)):
        assert expected
        assert query == {"signatureValidity": "both"} or len(expected) < 150


@pytest.mark.parametrize(
    "query",
    [
        {"signatureValidity": "yes"},
        {"dataType": "video"},
        {"minLabel": "wave"},
        {"minLength": ""},
        {"maxDate": "yesterday"},
        {"category": "all"},
    ],
)
def test_bad_filters_are_refused(query: dict[str, str]) -> None:
    """A filter's value that means nothing is HTTP 400, not ignored."""
    project = projects.classification(sizes={"testing": 3})
    with pytest.raises(replies.Refusal) as refused:
        replies.page(Studio([project]), project, query)

    assert refused.value.status == 400


def test_categories_are_sets_of_their_own() -> None:
    """Training and testing share no sample, and only testing changes with the scenario."""
    project = projects.classification(sizes={"testing": 10, "training": 20})
    project.add(5)
    testing, training = (numbers(project, category=category) for category in ("testing", "training"))

    assert (len(testing), len(training)) == (15, 20)
    assert not set(testing) & set(training)


async def post(client: Any, project: Project, body: Any, **query: str) -> tuple[int, Any]:
    """Start a job."""
    url, headers = f"{client.url}/api/{project.id}/jobs/classify", {"x-api-key": project.api_key}
    async with client.session.post(url, headers=headers, json=body, params=query) as response:
        return response.status, await response.json()


async def test_a_job_brings_results_back(serving: Serving, by_hand: Any) -> None:
    """Model testing runs for a while; once it succeeded, results that had vanished are there again, and the impulse is
    not stale.
    """
    project = projects.classification(sizes={"testing": 3}, role="admin")
    studio = Studio([project], clock=by_hand, job_seconds=30, validate=True)
    client = await serving(studio)
    project.edit(results=False)
    project.add(1)
    stale = project.is_stale()
    _, started = await post(client, project, {"modelVariants": ["int8"]}, impulseId="1")
    path = f"{project.id}/jobs/{started['id']}/status"
    _, running = await client.get(project, path)
    _, missing = await client.get(project, f"{project.id}/{PAGE}")
    by_hand.now += 30
    _, done = await client.get(project, path)

    assert "finishedSuccessful" not in running["job"]
    assert missing["success"] is False
    assert done["job"]["finishedSuccessful"] is True
    assert (await client.page(project))["totalCount"] == 4
    assert [stale, project.is_stale()] == [True, False]
    assert [(1, ("int8",))] == [(job.impulse_id, job.variants) for job in studio.jobs.values()]


async def test_a_job_may_fail(serving: Serving, by_hand: Any) -> None:
    """A job that fails says so and brings nothing back."""
    project = projects.classification(sizes={"testing": 3}, role="admin")
    project.job_succeeds = False
    project.edit(results=False)
    client = await serving(Studio([project], clock=by_hand, job_seconds=1))
    _, started = await post(client, project, {})
    by_hand.now += 1
    _, done = await client.get(project, f"{project.id}/jobs/{started['id']}/status")
    _, missing = await client.get(project, f"{project.id}/{PAGE}")

    assert done["job"]["finishedSuccessful"] is False
    assert missing["success"] is False


async def test_jobs_want_an_admin_key_and_known_parameters(serving: Serving) -> None:
    """A read-only key may not start jobs; unknown parameters are refused."""
    reader, admin = projects.classification(), projects.fomo(role="admin")
    client = await serving(Studio([reader, admin]))

    assert (await post(client, reader, {}))[0] == 403
    assert (await post(client, admin, {"variants": ["int8"]}))[0] == 400
    assert (await post(client, admin, {}, impulseId="9"))[0] == 404


async def test_an_invalid_reply_of_its_own_is_found(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """With `validate`, a reply that breaks the documented shape becomes a 500 that names the place; without, it goes
    out.
    """
    project = projects.classification(sizes={"testing": 1}, impulses=[Impulse(1, "ok")])
    project.owner = 7  # type: ignore[assignment]
    studio = Studio([project], validate=True)
    client = await serving(studio)
    status, body = await client.get(project, f"{project.id}/{PAGE}")
    studio.validate = False
    other, _ = await client.get(project, f"{project.id}/{PAGE}")

    assert (status, other) == (500, 200)
    assert "projectOwnerName" in body["error"]
    assert "does not have the documented shape" in caplog.text


def test_ids_and_keys_are_unique() -> None:
    """A studio refuses a second project of the same id, or of the same key."""
    with pytest.raises(ValueError, match="101"):
        Studio([projects.classification(), projects.fomo(id=101)])
    with pytest.raises(ValueError, match="key"):
        Studio([projects.classification(api_key="ei_x"), projects.fomo(api_key="ei_x")])


async def test_requests_in_flight_are_counted(serving: Serving) -> None:
    """The largest number of open requests is known, over all and per key, and closed ones no longer count."""
    first, second = projects.freeform(sizes={"testing": 2}), projects.label_map(sizes={"testing": 2})
    studio = Studio([first, second], latency=0.05)
    client = await serving(studio)
    await asyncio.gather(*[client.page(first) for _ in range(3)], *[client.page(second) for _ in range(2)])
    await client.page(first)

    assert studio.most_in_flight == 5
    assert studio.most_in_flight_by_key == {first.api_key: 3, second.api_key: 2}
    assert len(studio.calls("result/page", first.id)) == 4
    assert len(studio.calls("impulses")) == 0


async def regenerate(client: Any, project: Project, impulse: int = 1, **query: str) -> tuple[int, Any]:
    """Ask for a new summary."""
    url = f"{client.url}/api/{project.id}/impulse/{impulse}/regenerate-model-testing-summary"
    async with client.session.post(url, headers={"x-api-key": project.api_key}, params=query) as response:
        return response.status, await response.json()


async def test_a_new_threshold_takes_the_results_until_the_summary_is_new(serving: Serving, by_hand: Any) -> None:
    """Results are gone, `classify/all/result` says what to do, and the cheap job brings those of the new threshold
    back.
    """
    project = projects.classification(sizes={"testing": 40}, role="admin")
    studio = Studio([project], clock=by_hand, job_seconds=30, validate=True)
    client = await serving(studio)
    _, before = await client.pull(project)
    project.rethreshold(0.95)
    truth = project.ground()
    _, gone = await client.get(project, f"{project.id}/{PAGE}")
    _, told = await client.get(project, f"{project.id}/classify/all/result")
    status, started = await regenerate(client, project)
    by_hand.now += 3
    _, job = await client.get(project, f"{project.id}/jobs/{started['id']}/status")
    _, after = await client.pull(project)
    _, whole = await client.get(project, f"{project.id}/classify/all/result")

    assert truth is None
    assert (gone["success"], gone["error"]) == (False, "No model testing results found, run 'startClassifyJob' first")
    assert (told["result"], told["noResultsBecauseThresholdsChanged"]) == ([], "can_regenerate_model_summary")
    assert (status, job["job"]["finishedSuccessful"]) == (200, True)
    count = {
        name: sum(row["prediction"] == "uncertain" for row in rows)
        for name, rows in (("before", before), ("after", after))
    }
    assert count["after"] > count["before"]
    assert [row["prediction"] for row in after] == [w.prediction for s in project.ground().samples for w in s.windows]  # type: ignore[union-attr]
    assert "noResultsBecauseThresholdsChanged" not in whole


async def test_detectors_want_model_testing_after_a_new_threshold(serving: Serving, by_hand: Any) -> None:
    """Object detection has no cheap way: the summary is refused, a job brings the results back, and a second change
    takes them again.
    """
    project = projects.fomo(sizes={"testing": 10}, role="admin")
    client = await serving(Studio([project], clock=by_hand, job_seconds=10, validate=True))
    project.rethreshold(0.7)
    _, told = await client.get(project, f"{project.id}/classify/all/result")
    _, refused = await regenerate(client, project)
    await post(client, project, {"skipFeatureGeneration": True})
    by_hand.now += 10
    back = await client.page(project)
    project.rethreshold(0.6)
    _, gone = await client.get(project, f"{project.id}/{PAGE}")

    assert told["noResultsBecauseThresholdsChanged"] == "should_rerun_full_job"
    assert refused["success"] is False
    assert len(back["result"]) == 10
    assert gone["success"] is False


async def test_a_new_summary_wants_an_admin_key_an_impulse_and_results(serving: Serving) -> None:
    """A read-only key, another impulse, a bad category and a project without results are refused."""
    reader, admin = projects.classification(), projects.kmeans(role="admin")
    admin.edit(results=False)
    client = await serving(Studio([reader, admin]))

    assert (await regenerate(client, reader))[0] == 403
    assert (await regenerate(client, admin, impulse=9))[0] == 404
    assert (await regenerate(client, admin, category="all"))[0] == 400
    assert (await regenerate(client, admin))[1] == {
        "success": False,
        "error": "No model testing results found, run 'startClassifyJob' first",
    }


@pytest.mark.parametrize("ignored", [False, True])
async def test_a_job_is_of_one_category(ignored: bool, serving: Serving, by_hand: Any) -> None:
    """A job brings back the results of the category it was started for; of the testing samples where the server knows
    no categories.
    """
    project = projects.classification(sizes={"testing": 3, "training": 5}, role="admin")
    studio = Studio([project], clock=by_hand, job_seconds=10)
    project.edit(results=False)
    client = await serving(studio)
    if ignored:
        studio.fail(IgnoreCategory(), call="start-classify-job", times=None)
    await post(client, project, {}, category="training")
    by_hand.now += 10
    found = {
        category: (await client.get(project, f"{project.id}/{PAGE}", category=category))[1]["success"]
        for category in ("testing", "training")
    }

    assert found == {"testing": ignored, "training": not ignored}


async def test_studios_own_figures(serving: Serving) -> None:
    """The unpaged call counts what `predictionCorrect` says, in all and per label, beside every sample and window."""
    project = projects.kmeans(sizes={"testing": 50})
    client = await serving(Studio([project], validate=True))
    _, body = await client.get(project, f"{project.id}/classify/all/result")
    _, slim = await client.get(project, f"{project.id}/classify/all/result", featureExplorerOnly="true")
    windows = [window for sample in project.ground().samples for window in sample.windows]  # type: ignore[union-attr]
    judged = [window.correct for window in windows if window.correct is not None]
    accuracy = body["accuracy"]

    assert (len(body["result"]), len(body["predictions"]), len(slim["result"])) == (50, len(windows), 0)
    assert accuracy["totalSummary"] == {"good": sum(judged), "bad": len(judged) - sum(judged)}
    assert accuracy["accuracyScore"] == pytest.approx(sum(judged) / len(judged))
    for label, row in accuracy["summaryPerClass"].items():
        assert row["good"] == sum(bool(window.correct) for window in windows if window.label == label)
    assert sum(sum(cells.values()) for cells in accuracy["confusionMatrixValues"].values()) == len(windows)
    assert body["availableVariants"] == ["int8"]
