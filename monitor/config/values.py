"""The values an operator writes, as annotated types: durations, secrets, paths, URLs, addresses, labels.

Each refuses what it cannot use with a sentence that says what to write and repeats nothing of the value, which could be
a secret. Relative paths are resolved, and files looked at, only where pydantic's validation context is a `Files`;
values given by code are taken as they are.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, ValidationInfo, WithJsonSchema
from yarl import URL

from monitor.config.schedules import StaleAfter, cron_trigger
from monitor.figures.groups import AUTO, NONE
from monitor.logs import secrets
from monitor.targets import LABEL_NAMES

T = TypeVar("T")

_MILLISECONDS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION_PATTERN = "^(?=[0-9])" + "".join(f"([0-9]+{unit})?" for unit in _MILLISECONDS) + "$"
_DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
_LONGEST = 2**63 / 1e9  # seconds; Prometheus holds durations as int64 nanoseconds
_INTERVALS = re.compile(r"([1-9][0-9]{0,5})\s+intervals?")

RESERVED_LABELS = frozenset(
    [
        *LABEL_NAMES,
        *("state", "job", "instance", "alertname", "alertstate", "severity", "cause_id"),
    ]
)
"""Names that the monitor's own series, Prometheus or the alerts already use."""


def parse_duration(value: object) -> float:
    """Seconds for a duration in Prometheus's syntax (`500ms`, `1h30m`, `7d`; a year has 365 days; `0` needs no unit).

    Raises:
        ValueError: For anything else, and for more than 292 years (Prometheus's own limit).
    """
    if value == "0" or (value == 0 and type(value) is int):
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 100 else None
    if not match or not value:
        raise ValueError(
            "is not a duration; write a number and a unit, such as 500ms, 30s, 15m, 1h30m, 7d (also w and y)"
        )
    seconds = (
        sum(int(count) * unit for count, unit in zip(match.groups(default="0"), _MILLISECONDS.values(), strict=True))
        / 1000
    )
    if seconds > _LONGEST:
        raise ValueError("is longer than 292 years; write a shorter duration")
    return seconds


def _parse_stale_after(value: object) -> StaleAfter:
    if isinstance(value, StaleAfter):
        return value
    if isinstance(value, str) and (match := _INTERVALS.fullmatch(value)):
        return StaleAfter(intervals=int(match[1]))
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise ValueError("write `N intervals`, such as `3 intervals`, or a duration such as 45m") from None
    return StaleAfter(seconds=_at_least(0.001, "1ms")(seconds))


def _at_least(least: float, text: str) -> Callable[[float], float]:
    def check(seconds: float) -> float:
        if seconds < least:
            raise ValueError(f"is too short; write at least {text}")
        return seconds

    return check


_duration_text = {"type": "string", "pattern": _DURATION_PATTERN}

Duration = Annotated[float, PlainValidator(parse_duration), WithJsonSchema({"anyOf": [_duration_text, {"const": 0}]})]
PositiveDuration = Annotated[Duration, AfterValidator(_at_least(0.001, "1ms")), WithJsonSchema(_duration_text)]
Interval = Annotated[Duration, AfterValidator(_at_least(1.0, "1s")), WithJsonSchema(_duration_text)]
Staleness = Annotated[
    StaleAfter,
    PlainValidator(_parse_stale_after),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^[1-9][0-9]{0,5}\s+intervals?$"}, _duration_text]}),
]


def _whole(value: object) -> object:
    """Text is welcome (`${PORT}`), but not what Python also takes for an integer: true, 1.0, `1_000`."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,15}\s*", value):
        return int(value)
    if type(value) is int and abs(value) < 10**15:
        return value
    raise ValueError("must be a whole number; write for example 4")


Count = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1)]


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"entries {values.index(value) + 1} and {index + 1} are the same; remove one")
    return values


Unique = AfterValidator(_unique)
"""For a tuple: no value twice."""


# Secrets


def _clean(secret: str) -> str:
    """The secret as it can stand in a header; whitespace around it is how files and variables end, not part of it."""
    text = secret.strip()
    if not text:
        raise ValueError("is empty; put the secret into it")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError(
            "holds characters that no key has (blanks, line ends or non-ASCII); put the secret alone into it"
        )
    secrets.add(text)
    return text


def read_secret(path: Path) -> SecretStr:
    """The one secret in a file, without the whitespace around it.

    Raises:
        ValueError: The file cannot be read or does not hold one secret; the message names neither path nor content.
    """
    try:
        return SecretStr(_clean(path.read_text("utf-8")))
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); write the path of a file that holds the secret") from None
    except UnicodeDecodeError:
        raise ValueError("is not a text file; write the path of a file that holds the secret") from None


def _secret_text(secret: SecretStr) -> SecretStr:
    return SecretStr(_clean(secret.get_secret_value()))


Secret = Annotated[SecretStr, AfterValidator(_secret_text), WithJsonSchema({"type": "string", "minLength": 1})]


# Paths


class Files(NamedTuple):
    """The validation context.

    Attributes:
        folder: Where relative paths start from.
        secrets: Whether files that are read again at each use must hold a secret already.
    """

    folder: Path
    secrets: bool = True


def _resolve(path: Path, info: ValidationInfo) -> Path:
    if str(path) in ("", "."):
        raise ValueError("must not be empty; write the path of a file")
    return info.context.folder / path if info.context else path


def _holds_a_secret(path: Path, info: ValidationInfo) -> Path:
    if info.context:
        read_secret(path)
    return path


def _holds_a_secret_in_time(path: Path, info: ValidationInfo) -> Path:
    return _holds_a_secret(path, info) if info.context and info.context.secrets else path


def _holds_certificates(path: Path, info: ValidationInfo) -> Path:
    if info.context:
        try:
            ssl.create_default_context(cafile=path)
        except ssl.SSLError:
            raise ValueError("holds no certificate; write the path of a file with certificates in PEM form") from None
        except OSError as error:
            raise ValueError(
                f"cannot be read ({error.strerror}); write the path of a file with certificates in PEM form"
            ) from None
    return path


def _can_be_read(path: Path, info: ValidationInfo) -> Path:
    if info.context:
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise ValueError(f"cannot be read ({error.strerror}); write the path of a file that exists") from None
    return path


_FilePath = Annotated[Path, AfterValidator(_resolve), WithJsonSchema({"type": "string", "minLength": 1})]
SecretFile = Annotated[_FilePath, AfterValidator(_holds_a_secret_in_time)]
"""Read at each use: where it holds no secret, what needs that fails, and nothing else."""
PresentSecretFile = Annotated[_FilePath, AfterValidator(_holds_a_secret)]
"""Without which the service does not start."""
ReadableFile = Annotated[_FilePath, AfterValidator(_can_be_read)]
CertificateFile = Annotated[_FilePath, AfterValidator(_holds_certificates)]


# URLs and addresses


def _split(url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and (parts.port is None or parts.port > 0)
    except ValueError:  # its message repeats the text
        valid = False
    if not valid or any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"is not a URL that can be used here; write for example {example}")
    if parts.netloc.count("@") > 1:  # whose rest would be taken for the host, and shown
        raise ValueError("holds an @ in its user or password; write %40 in place of it")
    if parts.password:
        secrets.add(parts.password)
        secrets.add(unquote(parts.password))
    return parts


def _http_url(url: str) -> str:
    example = "https://studio.example.com/v1"
    parts = _split(url, ("http", "https"), example)
    if not parts.hostname:
        raise ValueError(f"names no host; write for example {example}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"must not hold a user, a query or a fragment; write for example {example}")
    return str(URL(url)).rstrip("/")  # as it may stand in a link: escaped, and the host in ASCII


def _proxy_url(url: SecretStr) -> SecretStr:
    example = "http://proxy.example.com:3128"
    if not _split(url.get_secret_value(), ("http", "https"), example).hostname:
        raise ValueError(f"names no host; write for example {example}")
    return url


def receiver_url(url: SecretStr) -> SecretStr:
    """The URL of an Alertmanager or a webhook; its path, query and user may be secret.

    Raises:
        ValueError: It is not one of http or https; the message repeats nothing of it.
    """
    example = "https://hooks.example.com/alerts"
    parts = _split(url.get_secret_value(), ("http", "https"), example)
    if not parts.hostname:
        raise ValueError(f"names no host; write for example {example}")
    if parts.fragment:
        raise ValueError(f"must not hold a fragment (#...); write for example {example}")
    return url


def apprise_url(url: SecretStr) -> SecretStr:
    """An Apprise URL, of which all may be secret; whether there is such a service is found out when it is used.

    Raises:
        ValueError: It is no URL at all; the message repeats nothing of it.
    """
    url = _secret_text(url)
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url.get_secret_value()):
        raise ValueError("is not an Apprise URL; write for example mailto://user:password@example.com")
    return url


def _store_url(url: SecretStr, info: ValidationInfo) -> SecretStr:
    text = url.get_secret_value()
    usage = "write sqlite:///file.db (relative to this file), sqlite:////absolute/file.db or postgresql://user@host/database"
    if text.startswith("sqlite:///"):
        file = text.removeprefix("sqlite:///")
        if not file.strip("/") or file == ":memory:" or "?" in file or "\0" in file:
            raise ValueError(f"must name a file, without options; {usage}")
        path = _resolve(Path(file), info)
        if info.context and path.is_dir():
            raise ValueError(f"is a folder; {usage}")
        if info.context and not path.parent.is_dir():
            raise ValueError("is in a folder that does not exist; create the folder or write another path")
        return SecretStr(f"sqlite:///{path}")
    if text.startswith("postgresql:"):
        if not _split(text, ("postgresql",), "postgresql://user@host/database").path.strip("/"):
            raise ValueError(f"names no database; {usage}")
        _check_postgresql(text)
        return url
    raise ValueError(f"is not a store that exists; {usage}")


def _check_postgresql(url: str) -> None:
    from monitor.store import StoreError  # takes a moment, which most configurations need not spend
    from monitor.store.engine import parse

    try:
        parse(url)
    except StoreError as error:
        raise ValueError(str(error).removeprefix("the store's URL ")) from None


HttpUrl = Annotated[str, AfterValidator(_http_url), WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"})]
ProxyUrl = Annotated[
    SecretStr, AfterValidator(_proxy_url), WithJsonSchema({"type": "string", "pattern": "^https?://.+$"})
]
StoreUrl = Annotated[
    SecretStr,
    AfterValidator(_store_url),
    WithJsonSchema({"type": "string", "pattern": "^(sqlite:///|postgresql://).+$"}),
]
"""Secret, because a PostgreSQL URL may hold a password."""


class Address(NamedTuple):
    """Where to listen. An empty host is every interface; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    match = (
        re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})", value)
        if isinstance(value, str)
        else None
    )
    if match is None or int(match[3]) > 65535 or not _is_ipv6(match[1]):
        raise ValueError("write HOST:PORT, such as 127.0.0.1:9890, [::1]:9890 or :9890 for every interface")
    return Address(match[1] or match[2], int(match[3]))


def _is_ipv6(host: str | None) -> bool:
    try:
        return host is None or bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False


_listen_text = {"type": "string", "pattern": r"^(\[.+\]|[^:\[\]]*):[0-9]{1,5}$"}
Listen = Annotated[Address, PlainValidator(_parse_address), WithJsonSchema(_listen_text)]


# Names


LABEL_NAME = "^[a-zA-Z_][a-zA-Z0-9_]*$"
"""What labels and annotations may be called."""


def label_name(name: str) -> str:
    """The name of a label, be it one of the monitor's own.

    Raises:
        ValueError: It cannot be one.
    """
    if not re.fullmatch(LABEL_NAME, name) or name.endswith("\n"):
        raise ValueError("is not a label name; write letters, digits and underscores, with no digit first")
    return name


def _label_name(name: str) -> str:
    if label_name(name).startswith("__"):
        raise ValueError("is reserved by Prometheus; write a name without underscores at its start")
    if name in RESERVED_LABELS:
        raise ValueError("is a label that the monitor or Prometheus sets itself; write another name")
    return name


def _slice(name: str) -> str:
    if name != "device_name" and not re.fullmatch(r"metadata\..+", name):
        raise ValueError("is not something to slice by; write metadata.KEY or device_name")
    return name


def _group_by(name: str) -> str:
    if name not in (AUTO, NONE) and not re.fullmatch(r"metadata\..+", name):
        raise ValueError(f"is not something to group by; write {AUTO}, {NONE} or metadata.KEY")
    return name


def _crontab(expression: str) -> str:
    cron_trigger(expression, "UTC")
    return expression


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a plain relative path, a folder of the database
        raise ValueError(
            "is not a time zone; write a name of the IANA database, such as UTC or Europe/Berlin"
        ) from None
    return name


LabelName = Annotated[str, AfterValidator(_label_name)]
Labels = Annotated[
    Mapping[LabelName, Text],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "propertyNames": {"pattern": "^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$", "not": {"enum": sorted(RESERVED_LABELS)}},
        }
    ),
]
Slice = Annotated[
    str, AfterValidator(_slice), WithJsonSchema({"type": "string", "pattern": r"^(metadata\..+|device_name)$"})
]
GroupBy = Annotated[
    str, AfterValidator(_group_by), WithJsonSchema({"type": "string", "pattern": r"^(metadata\..+|auto|none)$"})
]
Crontab = Annotated[str, AfterValidator(_crontab)]
Timezone = Annotated[str, AfterValidator(_timezone)]


def word_or_list(word: str, example: str) -> Any:
    """For the word of a choice between that word and a list: says so when it is neither."""

    def check(value: object) -> object:
        if value != word:
            raise ValueError(f"write {word}, or a list such as {example}")
        return value

    return BeforeValidator(check)


def which(value: object) -> str:
    """Discriminates between a word and a list, so that errors speak of one of them."""
    return "list" if isinstance(value, list | tuple) else "word"
