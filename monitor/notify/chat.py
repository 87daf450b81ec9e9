"""Alert texts for a chat: names that people give in Studio must neither mention anybody there nor become links."""

from __future__ import annotations

import re

_BREAK = "\u200b"  # a space of no width: seen by programs, not by people

_SPECIAL = re.compile(
    r"""
    (?P<before>
        @                           # @everyone, @here, @channel, @name
      | <(?=[!@\#/A-Za-z&])         # <!channel>, <@U123>, <#C123>, <https://…|text>, tags
      | (?<=\])(?=\()               # [text](address)
      | [A-Za-z][A-Za-z0-9+.-]*:(?=//)
      | \bwww(?=\.)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)


def defang(text: str) -> str:
    """The text without mentions, markup and links: each is broken by a space of no width, so that it still reads the
    same.
    """
    return _SPECIAL.sub(lambda found: found["before"] + _BREAK, text)
