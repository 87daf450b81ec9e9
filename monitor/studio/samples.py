"""`SampleRows`: the samples of all pages, a column each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.results import Categorical, IntArray, shrink_dtype
from monitor.studio import wire
from monitor.studio.box_rows import BoxRows
from monitor.studio.dates import all_milliseconds
from monitor.studio.reading import Reader
from monitor.studio.rows import Codes, floats, ints
from monitor.text import LONGEST_NAME, shown

_NO_DATE = -(2**63)
_LARGEST_SIZE = 2**31
_NOTHING_SAID = wire.Sample()

_metadata = msgspec.json.Decoder(dict[str, Any] | None)


class SampleRows:
    """Samples as they come, those that come again once more.

    Args:
        metadata: Keys of the samples' metadata to keep.

    Attributes:
        truth: Their labelled boxes.
    """

    def __init__(self, metadata: Sequence[str]) -> None:
        self._ids = array("q")
        self._added = array("q")
        self._device = array("q")
        self._devices = Codes()
        self._filename = array("q")
        self._filenames = Codes()
        self._metadata = {key: (array("q"), Codes()) for key in metadata}
        self._sizes = array("d")
        self.truth = BoxRows()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """int64, one for each occurrence."""
        return ints(self._ids)

    def add_page(self, results: Sequence[wire.Result], labels: Codes, reader: Reader) -> None:
        """Append a page's samples.

        Args:
            results: Theirs.
            labels: Codes of the boxes' labels.
            reader: Of what may have any type.
        """
        first = len(self)
        samples = [result.sample or _NOTHING_SAID for result in results]
        self._add_dates([sample.added for sample in samples], reader)
        self._device.extend(self._devices.column([sample.device_name for sample in samples]))
        self._add_filenames([sample.filename for sample in samples])
        self._add_sizes([sample.image_dimensions for sample in samples], reader)
        if self._metadata:
            self._add_metadata([sample.metadata for sample in samples], reader)
        self._ids.extend(array("q", [result.sample_id for result in results]))
        boxes = [sample.bounding_boxes for sample in samples]
        if any(boxes):
            self.truth.add(range(first, len(self)), boxes, labels, scored=False)

    def _add_dates(self, texts: Sequence[str | None], reader: Reader) -> None:
        dates = all_milliseconds(texts)
        if None in dates:
            if unread := sum(date is None and bool(text) for date, text in zip(dates, texts, strict=True)):
                reader.unknown["added"] += unread
            dates = [_NO_DATE if date is None else date for date in dates]
        self._added.extend(array("q", dates))  # type: ignore[arg-type]

    def _add_filenames(self, names: Sequence[str | None]) -> None:
        if max(map(len, filter(None, names)), default=0) > LONGEST_NAME:
            names = [None if name is None else shown(name) for name in names]
        self._filename.extend(self._filenames.column(names))

    def _add_sizes(self, sizes: Sequence[wire.Size | None], reader: Reader) -> None:
        if any(sizes):
            for size in sizes:
                self._sizes.extend(_size(size, reader))
        else:
            self._sizes.frombytes(bytes(2 * self._sizes.itemsize * len(sizes)))

    def _add_metadata(self, raws: Sequence[msgspec.Raw], reader: Reader) -> None:
        rows = [reader.decode(_metadata, raw, "metadata") or {} for raw in raws]
        for key, (codes, texts) in self._metadata.items():
            values = [row.get(key) for row in rows]
            codes.extend(texts.column([None if value is None else str(value) for value in values]))

    def plain_content(self, occurrence: int) -> bytes:
        """What was sent for a sample, but its boxes: the same bytes for the same content."""
        codes = [column for column, _ in self._metadata.values()]
        single = [column[occurrence : occurrence + 1].tobytes() for column in (self._added, self._device, *codes)]
        return b"".join((*single, self._sizes[2 * occurrence : 2 * occurrence + 2].tobytes()))

    def columns(self, order: IntArray) -> dict[str, Any]:
        """Columns of the result set by name, for the occurrences in `order`."""
        return {
            "added": ints(self._added)[order].view("datetime64[ms]"),
            "device": _categorical(self._device, self._devices, order),
            "filename": _categorical(self._filename, self._filenames, order),
            "metadata": {key: _categorical(codes, texts, order) for key, (codes, texts) in self._metadata.items()},
        }

    def image_size(self, order: IntArray) -> IntArray:
        """int[n, 2], width and height in pixels; 0 where unknown."""
        return shrink_dtype(floats(self._sizes).reshape(-1, 2)[order].astype(np.int64))


def _size(size: wire.Size | None, reader: Reader) -> tuple[float, float]:
    if size is None:
        return 0, 0
    width = size.width or 0
    height = size.height or 0
    if max(width, height) < _LARGEST_SIZE and min(width, height) >= 0:
        return width, height
    reader.unknown["image_dimensions"] += 1
    return 0, 0


def _categorical(codes: array[int], texts: Codes, order: IntArray) -> Categorical:
    column = ints(codes)[order]
    table, places = texts.sorted(column)
    return Categorical(shrink_dtype(places[column]), table)
