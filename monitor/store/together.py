"""`Together`: answers by one statement what several ask at about the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """Gathers questions while earlier ones are being answered, and those that come at once.

    Args:
        answers: Answers questions, in their order.
    """

    def __init__(self, answers: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._answers = answers
        self._asked: list[tuple[Q, asyncio.Future[A]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer; the question is asked also where whoever asks it is cancelled.

        Raises:
            Exception: What answering raises, for each of those that were answered together.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked.append((question, answer))
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer())
        return await answer

    async def _answer(self) -> None:
        try:
            while self._asked:
                asked = self._asked
                self._asked = []
                await self._answer_all([question for question, _ in asked], [answer for _, answer in asked])
        finally:
            self._answering = None

    async def _answer_all(self, questions: Sequence[Q], futures: Sequence[asyncio.Future[A]]) -> None:
        try:
            found = await self._answers(questions)
        except asyncio.CancelledError:
            for future in futures:
                future.cancel()
            raise
        except Exception as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, answer in zip(futures, found, strict=True):
            if not future.done():
                future.set_result(answer)
