"""The root of all errors that are raised on purpose, and those of the configuration and of Studio.

::

    MonitorError
    ├── ConfigError            the operator's file: every problem, each with its line
    └── StudioError            one pull or one discovery failed; `.state` says how
        ├── NoResults          no_results    no model-testing results (never run, cleared by training, invalidated)
        ├── AuthError          auth          the key is wrong, expired or may not read this
        ├── NotFound           not_found     no such project or impulse
        ├── Unreachable        unreachable   no usable reply in the time and attempts allowed
        ├── Inconsistent       inconsistent  the result set kept changing while it was read
        └── InvalidReply       invalid       a reply that is not the documented JSON, or another refusal

The store's are in `monitor.store.errors`, the notifiers' in `monitor.notify.errors`. Anything else that escapes a pull
is a bug of ours; the pipeline logs it with its target and shows it as `invalid`.
"""

from __future__ import annotations

from enum import StrEnum

from monitor.logs import secrets
from monitor.text import brief

LONGEST_QUOTE = 200
"""Characters of another program's text that an error quotes."""
LONGEST_ERROR = 600
"""Characters of an error as a whole."""


class PullState(StrEnum):
    """How the last pull of a target, or the last discovery of a project, ended. A closed set: it becomes a label."""

    OK = "ok"
    NO_RESULTS = "no_results"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    INCONSISTENT = "inconsistent"
    INVALID = "invalid"


class MonitorError(Exception):
    """Root of the errors the monitor raises on purpose; `str()` says what happened, where, and what to do next."""


class StudioError(MonitorError):
    """A call to Studio that gave no usable answer. Its text is one line without secrets: it goes to pages, alerts and
    the store.
    """

    state = PullState.INVALID

    def __init__(self, text: str) -> None:
        super().__init__(quoted(text, LONGEST_ERROR))


class NoResults(StudioError):
    """Studio holds no model-testing results for this target: run model testing, or wait until training has finished."""

    state = PullState.NO_RESULTS


class AuthError(StudioError):
    """Studio refused the API key (401, 403)."""

    state = PullState.AUTH


class NotFound(StudioError):
    """Studio does not know the project or the impulse (404)."""

    state = PullState.NOT_FOUND


class Unreachable(StudioError):
    """No usable reply within the attempts and the deadline: connection, timeout, 429, 5xx or a cut-off body."""

    state = PullState.UNREACHABLE


class Inconsistent(StudioError):
    """The result set changed each time it was being paged; nothing was taken from it."""

    state = PullState.INCONSISTENT


class InvalidReply(StudioError):
    """A reply that is not the documented JSON after retries, or a `success: false` of unknown meaning."""

    state = PullState.INVALID


def quoted(text: object, at_most: int = LONGEST_QUOTE) -> str:
    """Another program's text as it may be shown: secrets masked, printable, on one line, not longer than `at_most`
    characters.
    """
    printable = "".join(each if each.isprintable() else " " for each in secrets.mask(str(text)))
    return brief(" ".join(printable.split()), at_most)
