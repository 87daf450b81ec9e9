"""What work costs beside other work, as on a larger input: both are measured in turns, so that a slow or busy machine
slows down both. Only ratios come out: no test asserts seconds.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

TURNS = 3
"""How often each work is done: the least that it took is what it takes undisturbed."""

TIMES = 10
"""How many times as large as the small input the large one is."""

LINEAR = 3.0 * TIMES
"""What `growth` is below where cost grows with size: 10, more where it sorts or a cache overflows, and room for a busy
machine. Where cost grows with the square of the size, it is 100.
"""


class Costs:
    """Processor time of several works, of the whole process with its threads: the least of their turns."""

    def __init__(self) -> None:
        self._seconds: dict[Hashable, float] = {}

    @contextmanager
    def of(self, name: Hashable) -> Iterator[None]:
        """A turn of this work is what is done inside."""
        with _no_garbage_collection():
            began = time.process_time()
            yield
            self._seconds[name] = min(self._seconds.get(name, math.inf), time.process_time() - began)

    def ratio(self, name: Hashable, other: Hashable) -> float:
        """How many times as long one work takes as the other."""
        return self._seconds[name] / self._seconds[other]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """As in `timeit`: a collection looks through all that earlier tests left in the process, and the larger input,
    which allocates more, meets it more often.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def growth(prepare: Callable[[int], Callable[[], object]], small: int, times: int = TIMES, turns: int = TURNS) -> float:
    """How many times as long a larger input takes as a small one.

    Args:
        prepare: Makes an input of a size, and gives the work on it, which can be done again and again.
        small: The size of the small input.
        times: How many times as large the other one is.
        turns: How often each is done.
    """
    costs = Costs()
    works = {size: prepare(size) for size in (small, times * small)}
    for _ in range(turns):
        for size, work in works.items():
            with costs.of(size):
                work()
    return costs.ratio(times * small, small)
