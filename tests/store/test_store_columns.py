"""The format of stored result sets."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.results import ResultSet
from monitor.store import StoreCorrupt, StoreTooNew
from monitor.store.columns import decode, encode
from tests.store.store_sets import result_set, result_sets


def plain(value: Any) -> Any:
    """A value by which two result sets can be compared to the bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def changed(data: bytes, **manifest: object) -> bytes:
    """The same file with other values in its manifest."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, json.dumps(json.loads(content) | manifest) if name == "manifest.json" else content)
    return target.getvalue()


@pytest.mark.slow
@settings(max_examples=60)
@given(result_sets())
def test_round_trip(results: ResultSet) -> None:
    """Every column comes back to the bit and with its dtype, and so does everything beside the columns."""
    again = decode(encode(results))

    assert plain(results) == plain(again)


def test_fingerprint_and_same_bytes() -> None:
    """The fingerprint survives, and the same content gives the same bytes."""
    results = result_set()

    assert results.fingerprint() == decode(encode(results)).fingerprint()
    assert encode(results) == encode(decode(encode(results)))


def test_read_by_another_program(tmp_path: Path) -> None:
    """With nothing but zipfile, json and NumPy, the accuracy can be counted and the confidences read."""
    results = result_set()
    path = tmp_path / "results.zip"
    path.write_bytes(encode(results))

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        columns = {
            name: np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False).astype(dtype)
            for name, dtype in manifest["columns"].items()
        }

    assert ("impulse-monitor result set", 1, 50, 150) == tuple(
        manifest[key] for key in ("format", "version", "samples", "windows")
    )
    assert (results.correct == 1).sum() == (columns["label"] == columns["prediction"]).sum()
    np.testing.assert_array_equal(results.confidences[3].values, columns["confidences/3"])
    assert manifest["tables"]["confidences"] == {"3": list(results.confidences[3].classes)}
    assert np.array(columns["added"], "datetime64[ms]")[0] == np.datetime64("2026-01-02T03:04:05.006")
    assert [
        manifest["tables"]["device"][code] if code >= 0 else None for code in columns["device"]
    ] == results.device.texts()


def test_size() -> None:
    """A classifier's columns shrink to less than half."""
    results = result_set(20_000)

    assert len(encode(results)) < 0.5 * results.nbytes()


def test_newer_version() -> None:
    """A file of a newer version is refused with what to do, whatever else is in it."""
    with pytest.raises(
        StoreTooNew,
        match=r"format version 2, this version of Impulse Monitor reads up to 1; run the version that wrote it",
    ):
        decode(changed(encode(result_set()), version=2, columns="other"))


@pytest.mark.parametrize(
    "manifest",
    [
        {"format": "other"},
        {"columns": {}},
        {"tables": {}},
        {"columns": {"sample_id": "<i8", "none": "<i8"}},
        {"blocks": [{}]},
    ],
)
def test_not_a_result_set(manifest: dict[str, object]) -> None:
    """A zip that lacks what a result set has is damaged, not a crash."""
    with pytest.raises(StoreCorrupt, match="damaged"):
        decode(changed(encode(result_set()), **manifest))


_encoded = encode(result_set())


@settings(max_examples=200)
@given(st.integers(0, len(_encoded) - 1), st.integers(1, 255), st.booleans())
def test_damaged_bytes(place: int, difference: int, cut: bool) -> None:
    """Bytes that were changed or cut off are noticed, or did not matter; never another result set."""
    data = _encoded[:place] if cut else _encoded[:place] + bytes([_encoded[place] ^ difference]) + _encoded[place + 1 :]
    try:
        again = decode(data)
    except (StoreCorrupt, StoreTooNew):
        return

    assert plain(decode(_encoded)) == plain(again)


def test_pickles_are_not_read() -> None:
    """An array of Python objects, which could run code, is refused."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        with zipfile.ZipFile(io.BytesIO(_encoded)) as before:
            archive.writestr("manifest.json", before.read("manifest.json"))
        content = io.BytesIO()
        np.save(content, np.array([print], object), allow_pickle=True)
        archive.writestr("sample_id.npy", content.getvalue())

    with pytest.raises(StoreCorrupt, match="allow_pickle=False"):
        decode(target.getvalue())


def test_file_of_before_thresholds_were_texts() -> None:
    """A file whose blocks have no texts, as version 0.1 wrote them, is read, and has none."""
    data = encode(result_set())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        blocks = json.loads(archive.read("manifest.json"))["blocks"]
    older = decode(
        changed(data, blocks=[{key: value for key, value in block.items() if key != "texts"} for block in blocks])
    )

    assert {"min_score": 0.6} == older.blocks[0].thresholds
    assert {} == older.blocks[0].texts
