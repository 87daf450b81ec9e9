"""What the evaluator keeps beside the store."""

from __future__ import annotations

import asyncio
import gc

from monitor.pipeline.alerting import AlertEvaluator


async def test_locks_of_subjects() -> None:
    """Transactions of one subject come one after the other; those of others do not wait; no lock outlives its use."""
    evaluator = AlertEvaluator(lambda: 0.0)
    order: list[str] = []

    async def hold(subject: str, name: str) -> None:
        async with evaluator.lock(subject):
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(*(hold("a", name) for name in "123"), hold("b", "4"))
    gc.collect()

    assert ["1", "1", "2", "2", "3", "3"] == [name for name in order if name != "4"]
    assert order.index("4") < order.index("2")
    assert 0 == len(evaluator._locks)
