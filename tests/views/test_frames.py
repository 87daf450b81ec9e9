"""Images as frames with outlines."""

from __future__ import annotations

import numpy as np

from monitor.results import Boxes, ResultSet
from monitor.views.frames import frames
from tests.factories import images, known


def run(found: list[list[float]], size: tuple[int, int] = (320, 240), ids: tuple[int, ...] = (5, 9)) -> ResultSet:
    """Two images: the second has one labelled box in pixels, and these found boxes in shares."""
    owner = np.ones(len(found), np.int32)
    code = np.zeros(len(found), np.int8)
    return images(
        2,
        labels=("car",),
        sample_id=np.array(ids),
        image_size=np.array([size, size], np.int32),
        truth=Boxes(np.array([1], np.int32), np.array([0], np.int8), np.array([[32.0, 24.0, 64.0, 48.0]])),
        detections=Boxes(owner, code, np.array(found).reshape(-1, 4), np.ones(len(found))),
    )


def test_boxes_are_in_pixels_of_the_image() -> None:
    """A frame has the image's shape; what is labelled stays as it is, what was found then and now becomes pixels."""
    now, before = run([[0.5, 0.5, 0.25, 0.25]]), run([[0.0, 0.0, 0.5, 1.0], [0.25, 0.25, 0.5, 0.5]])
    found = frames([9, 5, 9, 77], now, before)

    assert {5, 9} == found.keys()
    frame = found[9]
    assert (320, 240) == (frame.width, frame.height)
    parts = (frame.truth, frame.found, frame.found_before)
    sides = [[(box.x, box.y, box.width, box.height) for box in part] for part in parts]
    assert [[(32, 24, 64, 48)], [(160, 120, 80, 60)], [(0, 0, 160, 240), (80, 60, 160, 120)]] == sides
    assert {"car"} == {box.label for box in (*frame.truth, *frame.found)}
    assert ((), ()) == (found[5].truth, found[5].found)


def test_an_image_of_one_run_only() -> None:
    """An image that was removed has the baseline's frame, and nothing that is found now."""
    now, before = run([], ids=(1, 2)), run([[0.0, 0.0, 1.0, 1.0]])
    frame = frames([9], now, before)[9]

    assert ((), 1, 1) == (frame.found, len(frame.found_before), len(frame.truth))
    assert frames([9], None, before)[9] == frame
    assert {} == frames([9], None, None)


def test_an_image_without_a_size() -> None:
    """Labelled boxes in pixels of an image whose size nobody knows cannot be drawn; found ones, in shares, can."""
    found = frames([5, 9], run([[0.5, 0.5, 0.1, 0.1]], size=(0, 0)), None)

    assert {5} == found.keys()
    assert known(found[5]).width > 0


def test_what_is_no_number_is_not_drawn() -> None:
    """A box without a finite place is left out; an endless name is cut; no frame draws more than 100 boxes a kind."""
    many = run([[0.1, 0.1, 0.1, 0.1]] * 150)
    odd = run([[np.nan, 0.1, 0.1, 0.1], [0.1, np.inf, 0.1, 0.1]])

    assert 100 == len(frames([9], many, None)[9].found)
    assert () == frames([9], odd, None)[9].found
