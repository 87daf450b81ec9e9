"""`Tries`: how often an address may try to log in."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable

MOST = 5
"""Wrong tries of an address within `WITHIN`."""
WITHIN = 60.0
"""Seconds."""
ADDRESSES = 10_000
"""Addresses whose tries are counted: those that tried last."""


class Tries:
    """Counts wrong tries by address; of IPv6 by network, since everybody has a /64 to choose from.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until an address may try again; 0 where it may."""
        wrong = self._wrong.get(_network(address))
        if wrong is None or len(wrong) < MOST:
            return 0.0
        return min(max(0.0, wrong[0] + WITHIN - self._clock()), WITHIN)  # a clock that was set back locks nobody out

    def was_wrong(self, address: str) -> bool:
        """Count a wrong try; answers whether it was the last one for now."""
        network = _network(address)
        wrong = self._wrong.setdefault(network, deque(maxlen=MOST))
        wrong.append(self._clock())
        self._wrong.move_to_end(network)
        if len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)
        return self.wait(address) > 0


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a socket of another kind
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((int(found), 64), strict=False))
    return str(found)
