"""Logging: structlog events, key-value on a terminal and JSON elsewhere, on stderr; secrets never get out."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # structlog takes a quarter of a second, which a command that logs nothing need not spend
    from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "logfmt", "json")
MASK = "***"
"""What is shown in place of a secret."""
SHORTEST_SECRET = 4
"""Characters."""


class Secrets:
    """Values that must not appear in any text that leaves the process. Errors mask them where they arise, the log once
    more at its end.
    """

    def __init__(self) -> None:
        self._values: list[str] = []

    def add(self, value: str) -> None:
        """Mask `value` from now on. Shorter ones than `SHORTEST_SECRET` stay as they are: masked in every word, they
        would only be reported.
        """
        if len(value) >= SHORTEST_SECRET and value not in self._values:
            # The longest first: of a secret that holds another one nothing must be left either.
            self._values = sorted([*self._values, value], key=len, reverse=True)

    def __call__(self, _logger: WrappedLogger, _name: str, rendered: Any) -> str:
        """Processor of the rendered line."""
        return self.mask(str(rendered))

    def beginning(self, text: str, length: int) -> str:
        """The first characters of a text, at most `length`: fewer where the cut would leave a part of a value."""
        end, moved = length, len(text) > length
        while moved:
            moved = False
            for value in self._values:
                begin = text.find(value, max(0, end - len(value) + 1), end + len(value) - 1)
                if begin >= 0:
                    end, moved = begin, True
        return text[:end]

    def mask(self, text: str) -> str:
        """The text with each value in it replaced by three stars."""
        for value in self._values:
            if value in text:
                text = text.replace(value, MASK)
        return text


secrets = Secrets()
"""The process's own: key files are read again at each pull, and each value read is added here."""


def configure(level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's log to `stream` (default: stderr).

    Args:
        level: One of LEVELS.
        style: One of FORMATS; `auto` is key-value on a terminal and JSON otherwise.
        stream: Where to.
    """
    import stamina.instrumentation
    import structlog

    stream = stream or sys.stderr
    terminal = stream.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    renderers: list[Processor]
    if style == "json" or (style == "auto" and not terminal):
        # local variables hold keys and Studio's bodies: a traceback names places only
        places = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        renderers = [
            structlog.processors.ExceptionRenderer(places),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    elif terminal:
        renderers = [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)]
    else:
        renderers = [
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["ts", "level", "event"]),
        ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _foreign],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers, secrets],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # whose debug lines hold statements with their parameters
    for library in ("aiosqlite", "alembic", "asyncpg", "sqlalchemy"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # what it skips is logged, and counted, by the scheduler's own listener
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    stamina.instrumentation.set_on_retry_hooks([])  # each retry is counted, and named in the pull's own line


def _foreign(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Name the library a line of the standard library's logging comes from."""
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event
