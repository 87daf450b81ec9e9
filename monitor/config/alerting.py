"""`notify`: what an operator writes about receivers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import InitErrorDetails

from monitor.config.base import ConfigModel, broken
from monitor.config.values import (
    CertificateFile,
    SecretFile,
    apprise_url,
    receiver_url,
)


def repeated(names: Sequence[object]) -> Iterator[tuple[int, int]]:
    """For each name that stands before it already, its index and that of the first."""
    for index, name in enumerate(names):
        if name is not None and (first := names.index(name)) < index:
            yield index, first


ReceiverUrl = Annotated[
    SecretStr, AfterValidator(receiver_url), WithJsonSchema({"type": "string", "pattern": "^https?://.+$"})
]
AppriseUrl = Annotated[SecretStr, AfterValidator(apprise_url), WithJsonSchema({"type": "string", "minLength": 1})]


class _Receiver(ConfigModel):
    """Where messages go."""

    exactly_one = ("url", "url_file")

    url: ReceiverUrl | None = None
    """Its URL, which may hold a user and a password."""
    url_file: SecretFile | None = None
    """File with the URL, in place of `url`. Read again at each use."""

    @property
    def address(self) -> SecretStr | Path:
        """The URL, or the file that holds it."""
        address = self.url or self.url_file
        assert address is not None  # one of the two is always written
        return address


class _HttpReceiver(_Receiver):
    """A receiver that is sent HTTP requests."""

    ca_file: CertificateFile | None = None
    """Certificates (PEM) of a private authority to trust instead of the system's. Read again at each use."""
    bearer_token_file: SecretFile | None = None
    """File with a token that is sent as `Authorization: Bearer`. Read again at each use."""

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        if data.get("bearer_token_file") is not None and _names_a_user(data.get("url")):
            yield broken(
                ("bearer_token_file",),
                "cannot stand beside a user in the URL, both being sent as Authorization; remove one",
            )


def _names_a_user(url: object) -> bool:
    try:
        return isinstance(url, str) and "@" in urlsplit(url).netloc
    except ValueError:  # no URL, which is said elsewhere
        return False


class AlertmanagerConfig(_HttpReceiver):
    """One Alertmanager; each replica of a cluster is an entry of its own."""


class WebhookConfig(_HttpReceiver):
    """A URL that takes each message as signed JSON."""

    secret_file: SecretFile | None = None
    """File with the key of the HMAC-SHA256 signature; without it messages are not signed. Read again at each use."""


class AppriseConfig(_Receiver):
    """A service of chat or mail, by its Apprise URL."""

    url: AppriseUrl | None = None
    """Its Apprise URL, such as mailto://..."""


class NotifyConfig(ConfigModel):
    """Someone to be told of alerts: an Alertmanager, a webhook, or a service that Apprise knows."""

    exactly_one = ("alertmanager", "webhook", "apprise")
    kinds: ClassVar[tuple[str, ...]] = exactly_one

    alertmanager: AlertmanagerConfig | None = None
    """An Alertmanager."""
    webhook: WebhookConfig | None = None
    """A webhook."""
    apprise: AppriseConfig | None = None
    """Chat or mail."""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """What the receiver is called in metrics, logs and the store; unless written its kind with host:port or the file's
    name.
    """

    @property
    def kind(self) -> Literal["alertmanager", "webhook", "apprise"]:
        """Which of the three it is."""
        return "alertmanager" if self.alertmanager else "webhook" if self.webhook else "apprise"

    @property
    def to(self) -> AlertmanagerConfig | WebhookConfig | AppriseConfig:
        """Where it is told."""
        to = self.alertmanager or self.webhook or self.apprise
        assert to is not None  # one of the three is always written
        return to

    @property
    def called(self) -> str:
        """Its name, unique among all receivers, and the same as long as the file is; holds no secret."""
        address = self.to.address
        file = address if isinstance(address, Path) else None
        url = None if isinstance(address, Path) else address.get_secret_value()
        return self.name or _default_name(self.kind, url, file)


def called(entry: object) -> str | None:
    """What a receiver as it stands in the file would be called; None where that cannot be said."""
    if not isinstance(entry, Mapping):
        return None
    if isinstance(name := entry.get("name"), str):
        return name
    kind = next((kind for kind in NotifyConfig.kinds if isinstance(entry.get(kind), Mapping)), None)
    if kind is None:
        return None
    url, file = entry[kind].get("url"), entry[kind].get("url_file")
    try:
        if isinstance(file, str):
            return _default_name(kind, None, Path(file))
        return _default_name(kind, url, None) if isinstance(url, str) else None
    except ValueError:  # no URL, which is said elsewhere
        return None


def _default_name(kind: str, url: str | None, file: Path | None) -> str:
    """`kind-host:port`, or `kind-FILE`; for Apprise the kind alone, since its host is a token for many services."""
    if file is not None:
        return f"{kind}-{file.name}"
    if url is None or kind == "apprise":
        return kind
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{kind}-{host}:{parts.port or {'https': 443}.get(parts.scheme, 80)}"
