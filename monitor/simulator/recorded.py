"""A recorded result set as a project: page replies of `classify/all/result/page`, saved as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from monitor.converting import converter
from monitor.simulator.ground import Block, Threshold
from monitor.simulator.project import Impulse, Project, Variant
from monitor.simulator.render import Record

T = TypeVar("T")


class RecordingError(ValueError):
    """A file that is not a recorded result set; the message says which and why."""


class _Sensor(msgspec.Struct):
    name: str | None = None


class _Sample(msgspec.Struct, rename="camel"):
    label: str | None = None
    filename: str | None = None
    metadata: dict[str, Any] | None = None
    sensors: list[_Sensor] | None = None
    project_id: int | None = None
    project_name: str | None = None
    total_length_ms: float | None = None
    frequency: float | None = None
    signature_validate: bool | None = None
    added: datetime | None = None


class _Threshold(msgspec.Struct, rename="camel"):
    key: str = ""
    description: str = ""
    help_text: str = ""
    value: float | str = 0.0


class _LearnBlock(msgspec.Struct, rename="camel"):
    id: int = 1
    type: str = ""
    name: str = ""
    title: str = ""
    created_at: datetime | None = None


class _Classification(msgspec.Struct, rename="camel"):
    learn_block: _LearnBlock | None = None
    thresholds: list[_Threshold] | None = None
    object_detection_last_layer: str | None = None


class _Result(msgspec.Struct, rename="camel"):
    sample_id: int
    sample: _Sample | None = None
    classifications: list[_Classification] | None = None


class _Prediction(msgspec.Struct, rename="camel"):
    sample_id: int


class _Page(msgspec.Struct, rename="camel"):
    success: bool
    result: list[msgspec.Raw] | None = None
    predictions: list[msgspec.Raw] | None = None


class _OddPage(msgspec.Struct, rename="camel"):
    """A page that msgspec refuses although it is JSON: with a lone surrogate in a text, or a
    byte-order mark in front.
    """

    success: bool
    result: list[dict[str, Any]] | None = None
    predictions: list[dict[str, Any]] | None = None


class RecordedProject(Project):
    """Serves what was recorded, sample by sample, under its own paging and filters. Made by `load_recorded`.

    Byte for byte, unless a page holds lone surrogates: then as Python's `json` writes the same content.
    """

    def __init__(
        self,
        id: int,
        name: str,
        records: Sequence[Record],
        blocks: tuple[Block, ...],
        trained: float,
        category: str,
        variant: str,
    ) -> None:
        super().__init__(id, name, impulses=[Impulse(variants=(Variant(variant),))])
        self._records = tuple(sorted(records, key=lambda record: record.id))
        self._blocks = blocks
        self._trained = trained
        self.category = category

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Not part of a recording."""
        return None

    def blocks(self, impulse: Impulse) -> tuple[Block, ...]:
        """The blocks that occur in the recording."""
        return self._blocks

    def trained(self) -> float:
        """When the newest block was created; 0 where the recording does not say."""
        return self._trained

    def is_stale(self) -> bool:
        """Not part of a recording."""
        return False

    def records(self, impulse: Impulse, variant: Variant, category: str) -> Sequence[Record] | None:
        """All that was recorded, for the one category."""
        return self._records if category == self.category else None

    def tested(self, category: str = "testing", *, features: bool = True) -> None:
        """A recording does not change."""


def load_recorded(path: Path | str, *, category: str = "testing", variant: str = "int8") -> RecordedProject:
    """Read one page reply, a file with a list of them, or a folder of page files (`*.json`, by name).

    Id and name of the project are those of the first sample; 1 and the file's name where it does not say.

    Raises:
        RecordingError: A file is not JSON of that shape, a sample occurs twice, or nothing was recorded.
        OSError: A file cannot be read.
    """
    path = Path(path)
    results: dict[int, tuple[bytes, _Result]] = {}
    predictions: dict[int, list[bytes]] = {}
    for file, page in _pages(path):
        for raw in page.result or ():
            sent, result = _row(file, raw, _result)
            if result.sample_id in results:
                raise RecordingError(
                    f"{file}: sample {result.sample_id} was recorded twice; keep the pages of one pull only"
                )
            results[result.sample_id] = (sent, result)
        for raw in page.predictions or ():
            sent, prediction = _row(file, raw, _prediction)
            predictions.setdefault(prediction.sample_id, []).append(sent)
    if not results:
        raise RecordingError(f"{path}: no results in it; record pages of `classify/all/result/page` that hold some")
    first = next(iter(results.values()))[1].sample or _Sample()
    blocks: dict[int, Block] = {}
    trained = 0.0
    for _, result in results.values():
        for found in result.classifications or ():
            if found.learn_block is not None:
                blocks.setdefault(found.learn_block.id, _block(found.learn_block, found))
                if found.learn_block.created_at is not None:
                    trained = max(trained, found.learn_block.created_at.timestamp())
    records = [_record(raw, result, predictions.get(number, [])) for number, (raw, result) in results.items()]
    name = first.project_name or path.stem
    return RecordedProject(first.project_id or 1, name, records, tuple(blocks.values()), trained, category, variant)


def _pages(path: Path) -> Iterator[tuple[Path, _Page | _OddPage]]:
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        found = _file(file, file.read_bytes())
        for page in found if isinstance(found, list) else [found]:
            if not page.success:
                raise RecordingError(f"{file}: a reply with success: false, which holds no results; leave it out")
            yield file, page


@dataclass(frozen=True, slots=True)
class _Reader(Generic[T]):
    """Reads one type from JSON, or from values that Python's `json` read."""

    decode: Callable[[bytes | msgspec.Raw], T]
    from_values: Callable[[Any], T]


_pages_read = (
    _Reader(msgspec.json.Decoder(_Page).decode, converter(_OddPage)),
    _Reader(msgspec.json.Decoder(list[_Page]).decode, converter(list[_OddPage])),
)
"""Of a file with one page, and of a file with a list of them."""
_result = _Reader(msgspec.json.Decoder(_Result).decode, converter(_Result))
_prediction = _Reader(msgspec.json.Decoder(_Prediction).decode, converter(_Prediction))


def _file(file: Path, raw: bytes) -> Any:
    """One page, or a list of them."""
    reader: _Reader[Any] = _pages_read[raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["]
    try:
        return reader.decode(raw)
    except msgspec.ValidationError as error:
        raise _refused(file, error) from None
    except msgspec.DecodeError as error:
        try:
            return reader.from_values(json.loads(raw))
        except (ValueError, RecursionError):
            raise _refused(file, error) from None


def _row(file: Path, row: msgspec.Raw | dict[str, Any], reader: _Reader[T]) -> tuple[bytes, T]:
    """What is served of a row, and what is read of it."""
    try:
        if isinstance(row, dict):
            return json.dumps(row).encode(), reader.from_values(row)
        return bytes(row), reader.decode(row)
    except msgspec.MsgspecError as error:
        raise _refused(file, error) from None


def _refused(file: Path, error: Exception) -> RecordingError:
    return RecordingError(f"{file}: not a page of `classify/all/result/page`: {error}")


def _block(learn: _LearnBlock, found: _Classification) -> Block:
    thresholds = tuple(Threshold(t.key, t.description, t.help_text, t.value) for t in found.thresholds or ())
    return Block(learn.id, learn.type, learn.name, learn.title, thresholds, found.object_detection_last_layer)


def _record(raw: bytes, result: _Result, predictions: list[bytes]) -> Record:
    sample = result.sample or _Sample()
    sensors = {sensor.name for sensor in sample.sensors or ()}
    data_type = next((name for name in ("image", "audio") if name in sensors), "motion")
    metadata: Mapping[str, str] = {key: str(value) for key, value in (sample.metadata or {}).items()}
    return Record(
        id=result.sample_id,
        label=sample.label or "",
        filename=sample.filename or "",
        data_type=data_type,
        metadata=metadata,
        result=raw,
        predictions=b",".join(predictions),
        length=sample.total_length_ms or 0.0,
        frequency=sample.frequency or 0.0,
        signed=sample.signature_validate is not False,
        added=sample.added.timestamp() if sample.added else 0.0,
    )
