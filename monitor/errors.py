"""The root of all errors that are raised on purpose, and those of the configuration and of Studio.

::

    MonitorError
    ├── ConfigError            the operator's file: every problem, each with its line
    └── ForeignError           another program's doing, in at most `LONGEST_ERROR` characters
        └── StudioError        one pull or one discovery failed; `.state` says how
            ├── NoResults      no_results    no model-testing results (never run, cleared by training, invalidated)
            ├── AuthError      auth          the key is wrong, expired or may not read this
            ├── NotFound       not_found     no such project or impulse
            ├── Unreachable    unreachable   no usable reply in the time and attempts allowed
            ├── Inconsistent   inconsistent  the result set kept changing while it was read
            └── InvalidReply   invalid       a reply that is not the documented JSON, or another refusal

The store's are in `monitor.store.errors`, the notifiers' in `monitor.notify.errors`. Anything else that escapes a pull
is a bug of ours; the pipeline logs it with its target and shows it as `invalid`.
"""

from __future__ import annotations

import importlib.util
import re
from enum import StrEnum

from monitor.logs import secrets
from monitor.text import brief

LONGEST_ERROR = 200
"""Characters of an error about what another program said or did, its own words included."""
SHORTEST_QUOTE = 40
"""Characters that another program's text may have at least, however long what stands before it is."""
LONGEST_READ = 8192
"""Characters of it that are looked at: it may be megabytes."""
LONGEST_PROBLEM = 600
"""Characters of a problem in the operator's own files, which may name a path and a line."""

_BLANKS = re.compile(r"\s+")


def not_installed(module: str, extra: str) -> str:
    """That an optional package is missing, and what to do, as the end of a sentence; empty where it is installed.

    Args:
        module: What is imported, a module's first name.
        extra: Of this package, which brings it.
    """
    if importlib.util.find_spec(module) is not None:
        return ""
    return f"which is not installed; install it with: pip install 'impulse-monitor[{extra}]'"


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


class ForeignError(MonitorError):
    """What another program said or did. Its text is one line without secrets, of at most `LONGEST_ERROR` characters: it
    goes to pages, alerts and the store.

    Args:
        text: What happened, and where.
        said: The other program's words, which are cut first.
        advice: What follows them, such as what to do next: it is never cut.
    """

    def __init__(self, text: str, said: object = "", advice: str = "") -> None:
        super().__init__(fitted(text, said, advice))
        self._parts = text, quoted(said), advice

    def within(self, before: str, advice: str = "") -> str:
        """The error after `before`, of the same length at most, with its own advice or another one in its place."""
        text, said, own = self._parts
        return fitted(f"{before}{text}", said, advice or own)


class StudioError(ForeignError):
    """A call to Studio that gave no usable answer."""

    state = PullState.INVALID


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


def fitted(text: str, said: object, advice: str = "") -> str:
    """`text`, what another program `said` and `advice` as one line without secrets, of at most `LONGEST_ERROR`
    characters: what was said is cut first, to `SHORTEST_QUOTE`, then the middle of `text`; `advice` is left whole.
    """
    text, advice = _plain(text), _plain(advice)
    said = quoted(said, max(LONGEST_ERROR - len(text) - len(advice), SHORTEST_QUOTE))
    return f"{_in_the_middle(text, max(LONGEST_ERROR - len(said) - len(advice), 1))}{said}{advice}".strip()


def _in_the_middle(text: str, at_most: int) -> str:
    """A text without what is too much of its middle: it begins with whose it is, and may end with a file's name."""
    if len(text) <= at_most:
        return text
    beginning = at_most // 3
    return f"{text[:beginning]}…{text[len(text) - (at_most - beginning - 1) :]}"


def quoted(text: object, at_most: int = LONGEST_ERROR) -> str:
    """Another program's text as it may be shown: secrets masked, printable, on one line, not longer than `at_most`
    characters.
    """
    return brief(_plain(str(text)).strip(), at_most)


def _plain(text: str) -> str:
    """Secrets masked, on one line, with single blanks."""
    read = secrets.mask(secrets.beginning(text, LONGEST_READ))
    return _BLANKS.sub(" ", "".join(each if each.isprintable() else " " for each in read))
