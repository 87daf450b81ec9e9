"""Which waiting messages go out as one: those of one event that say the same of their alerts.

The order of each alert's messages is kept: a message joins an earlier one only if nothing of its own alert is between
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monitor.alerts.causes import LABEL
from monitor.alerts.states import Transition
from monitor.store import Message

MOST_TOGETHER = 200
"""Alerts in one message."""


@dataclass(slots=True)
class Bundle:
    """Messages that are sent as one.

    Attributes:
        transitions: What they say; none where the one message cannot be read.
        messages: As they stand in the outbox, in the same order.
    """

    transitions: list[Transition]
    messages: list[Message] = field(default_factory=list)

    @property
    def event(self) -> tuple[str, str] | None:
        """Cause and status that its alerts have in common; None where there is no cause."""
        if not self.transitions:
            return None
        first = self.transitions[0]
        cause = first.labels.get(LABEL, "")
        return (cause, first.status) if cause else None

    @property
    def subjects(self) -> set[str]:
        """The alerts that it is about."""
        return {message.subject for message in self.messages}

    @property
    def created(self) -> float:
        """Unix seconds of its oldest message."""
        return min(message.created for message in self.messages)

    @property
    def is_full(self) -> bool:
        """Whether no other alert fits in."""
        return len(self.messages) >= MOST_TOGETHER


def bundles(waiting: Iterable[tuple[Message, Transition | None]]) -> list[Bundle]:
    """A receiver's messages, oldest first, as they are to be sent one after the other; None stands for one that cannot
    be read.
    """
    found: list[Bundle] = []
    of_event: dict[tuple[str, str], int] = {}  # place of the last bundle of an event
    of_subject: dict[str, int] = {}
    for message, transition in waiting:
        alone = Bundle([] if transition is None else [transition], [message])
        event = alone.event
        place = of_event.get(event, -1) if event is not None else -1
        if transition is not None and place > of_subject.get(message.subject, -1) and not found[place].is_full:
            found[place].transitions.append(transition)
            found[place].messages.append(message)
        else:
            place = len(found)
            found.append(alone)
            if event is not None:
                of_event[event] = place
        of_subject[message.subject] = place
    return found
