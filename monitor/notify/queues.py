"""Names of the receivers' queues in the outbox: one for each receiver and shard."""

from __future__ import annotations

from monitor.engine.sharding import Shard

_OF_SHARD = "@"


def queue_of(receiver: str, shard: Shard) -> str:
    """The receiver's queue in the store: one for each shard, since several may share a database; the first one's is
    named like it, unless that name looks like another one's queue.
    """
    return receiver if shard.index == 0 and _OF_SHARD not in receiver else f"{receiver}{_OF_SHARD}{shard.index}"


def owner_of(queue: str) -> tuple[str, int]:
    """The receiver that a queue is for, and the index of the shard that fills and empties it."""
    receiver, _, index = queue.rpartition(_OF_SHARD)
    return (receiver, int(index)) if receiver and index.isdecimal() else (queue, 0)
