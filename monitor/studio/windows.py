"""`WindowRows`: the windows of all pages, a column each."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.results import CORRECT, UNSCORED, WRONG, IntArray
from monitor.studio import wire
from monitor.studio.box_rows import BoxRows
from monitor.studio.reading import Reader
from monitor.studio.rows import Codes, floats, ints, numbers, order_of

_VERDICTS = {True: CORRECT, False: WRONG, None: UNSCORED}


class WindowRows:
    """Windows as they come, with the boxes predicted on them."""

    def __init__(self) -> None:
        self.sample = array("q")
        self.start = array("d")
        self.end = array("d")
        self.label = array("q")
        self.prediction = array("q")
        self.correct = array("b")
        self.outcome = array("b")
        self.f1 = array("d")
        self.boxes = BoxRows()
        self.sends_boxes = False
        self._pages: list[int] = []
        self._starts: dict[tuple[int, int, int], list[int]] = {}  # of pages by their length, first and last sample

    def __len__(self) -> int:
        return len(self.sample)

    def add_page(self, rows: Sequence[wire.Prediction], labels: Codes, reader: Reader) -> None:
        """Append a page's windows, unless a page before held the same ones.

        Args:
            rows: Theirs.
            labels: Codes of labels and predictions.
            reader: Of what may have any type.
        """
        first = len(self)
        self.sample.extend(array("q", [row.sample_id for row in rows]))
        self.start.extend(numbers([row.start_ms for row in rows], -1))
        self.end.extend(numbers([row.end_ms for row in rows], -1))
        self.label.extend(labels.mixed_column([row.label for row in rows]))
        self.prediction.extend(labels.mixed_column([row.prediction for row in rows]))
        self.correct.extend(array("b", [_VERDICTS[row.prediction_correct] for row in rows]))
        self._add_outcomes([row.expected_anomaly_outcome for row in rows], reader)
        self.f1.extend(numbers([row.f1_score for row in rows], np.nan))
        boxes = [row.bounding_boxes for row in rows]
        self.sends_boxes = self.sends_boxes or boxes.count(None) < len(boxes)
        if any(boxes):
            self.boxes.add(range(first, len(self)), boxes, labels, scored=True)
        if rows:
            self._end_page(first)

    def _add_outcomes(self, outcomes: Sequence[object], reader: Reader) -> None:
        if outcomes.count(None) == len(outcomes):
            self.outcome.extend(array("b", [-1]) * len(outcomes))
        else:
            self.outcome.extend(array("b", list(map(reader.outcome, outcomes))))

    def _columns(self) -> tuple[array[int] | array[float], ...]:
        return self.sample, self.start, self.end, self.label, self.prediction, self.correct, self.outcome, self.f1

    def _end_page(self, first: int) -> None:
        """Forget what came since `first` where a page before held the same: servers repeat all predictions on every
        page.
        """
        count = len(self) - first
        alike = self._starts.setdefault((count, self.sample[first], self.sample[-1]), [])
        if not any(self._same(first, other, count) for other in alike):
            alike.append(first)
            self._pages.append(first)
            return
        self.boxes.forget(first)
        for column in self._columns():
            del column[first:]

    def _same(self, first: int, other: int, count: int) -> bool:
        """Whether so many windows from `first` on are, to the bit, those from `other` on."""
        return all(
            column[first : first + count].tobytes() == column[other : other + count].tobytes()
            for column in self._columns()
        ) and self.boxes.content(first, first + count) == self.boxes.content(other, other + count)

    def repeats(self) -> npt.NDArray[np.int64]:
        """For each window as received the first one that it repeats, itself where it repeats none.

        Windows are one by their sample and bounds. Those without a start are distinguished by their place in a page's
        list for the sample, and only that whole list can be repeated, on another page.

        Raises:
            ValueError: Two windows of the same bounds differ.
        """
        first = np.arange(len(self))
        known = floats(self.start) >= 0
        sample = ints(self.sample)
        start = floats(self.start)
        end = floats(self.end)
        order = np.flatnonzero(known)
        order = order[order_of(sample[order], start[order], end[order])]
        after = order[1:]
        before = order[:-1]
        same = (sample[after] == sample[before]) & (start[after] == start[before]) & (end[after] == end[before])
        for place in np.flatnonzero(same).tolist():
            first[after[place]] = first[before[place]]
        for window in after[same].tolist():
            if self._content(window) != self._content(int(first[window])):
                raise ValueError(f"two windows of sample {self.sample[window]} have the same bounds and differ")
        self._find_repeated_lists(np.flatnonzero(~known), first)
        return first

    def _find_repeated_lists(self, windows: IntArray, first: npt.NDArray[np.int64]) -> None:
        page = np.searchsorted(np.array(self._pages, np.int64), windows, side="right")
        sample = ints(self.sample)[windows]
        order = order_of(sample, page, windows)
        windows = windows[order]
        page = page[order]
        sample = sample[order]
        new_list = (sample[1:] != sample[:-1]) | (page[1:] != page[:-1])
        lists = np.split(windows, np.flatnonzero(new_list) + 1)
        seen: dict[bytes, IntArray] = {}  # the content of a window names its sample
        several = set(sample[1:][new_list & (sample[1:] == sample[:-1])].tolist())
        for listed in lists if len(several) else ():
            if self.sample[int(listed[0])] in several:
                first[listed] = seen.setdefault(b"".join(map(self._content, listed.tolist())), listed)

    def _content(self, window: int) -> bytes:
        values = b"".join(column[window : window + 1].tobytes() for column in self._columns())
        return values + self.boxes.content(window)
