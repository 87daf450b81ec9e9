"""What hypothesis draws, and shrinks: shapes of sets and ways to write them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.pages.page_replies import Spelling
from tests.pages.page_shapes import BOX_LAYERS, GIANT, KINDS, NAMES, Shape, as_read


def _names(limit: int) -> st.SearchStrategy[tuple[str, ...]]:
    text = st.integers(0, len(NAMES) - 1).map(lambda place: NAMES[place]) | st.text(
        st.characters(codec="utf-8"), max_size=4
    )
    return st.lists(text, min_size=1, max_size=limit, unique_by=as_read).map(tuple)


@st.composite
def shapes(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Shape:
    """Any shape of these kinds."""
    names = draw(st.just(("idle", "snake")) | _names(6))
    giant = GIANT in names  # in a few windows only, or a case takes a second
    bounds = draw(st.sampled_from(["both", "both", "both", "start", "none"]))
    return Shape(
        kind=draw(st.sampled_from(kinds)),
        seed=draw(st.integers(0, 2**32 - 1)),
        samples=draw(st.integers(1, 3 if giant else 12) | st.integers(1, 4 if giant else 45)),
        windows=draw(st.integers(1, 2 if giant else 5)),
        names=names,
        block_type=draw(st.integers(0, 4)),
        last_layer=draw(st.integers(0, len(BOX_LAYERS) - 1)),
        bounds=bounds,
        verdicts=draw(st.sampled_from(["all", "all", "some", "none"])),
        contrary=draw(st.booleans()),
        unlabelled=draw(st.booleans()),
        foreign=draw(st.booleans()),
        outcomes=draw(st.sampled_from(["no", "prediction", "sample", "windows"])),
        configured=draw(st.booleans()),
        absent=draw(st.booleans()),
        odd=draw(st.booleans()),
    )


spellings = st.builds(
    Spelling,
    seed=st.integers(0, 2**32 - 1),
    page=st.sampled_from([1000, 7, 2, 1]),
    overlap=st.sampled_from([0, 0, 1]),
    shuffled=st.booleans(),
    escaped=st.booleans(),
    loose=st.booleans(),
    predictions=st.sampled_from(["own", "every", "last", "twice"]),
    mark=st.booleans(),
    total=st.sampled_from(["int", "float", "text", "null", "absent"]),
)
"""Any way to write a set."""
