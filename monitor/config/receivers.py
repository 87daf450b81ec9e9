"""The models of `notify`: who is notified of alerts, and how they are reached.

A kind of receiver is a model and a field of `NotifyConfig`. `monitor.notify.registry` has the notifier of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import InitErrorDetails

from monitor.config.base import ConfigModel, broken
from monitor.config.paths import MASKED, CertificateFile, SecretFile
from monitor.config.urls import SHOWN_ADDRESS, apprise_url, receiver_url
from monitor.errors import not_installed

ReceiverUrl = Annotated[
    SecretStr,
    AfterValidator(receiver_url),
    SHOWN_ADDRESS,
    WithJsonSchema({"type": "string", "pattern": "^https?://.+$"}),
]
AppriseUrl = Annotated[
    SecretStr, AfterValidator(apprise_url), MASKED, WithJsonSchema({"type": "string", "minLength": 1})
]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class ReceiverConfig(ConfigModel):
    """Where messages go; every kind of receiver derives from it."""

    @classmethod
    def default_name(cls, kind: str, written: Mapping[str, Any]) -> str:
        """The name of a receiver without `name`; holds no secret.

        Args:
            kind: The key in `notify`.
            written: The mapping below that key, as it stands in the file; it may be invalid.

        Raises:
            ValueError: What is written is not enough for a name.
        """
        return kind


class UrlReceiverConfig(ReceiverConfig):
    """A receiver with a URL, in the configuration or in a file."""

    exactly_one = ("url", "url_file")

    url: ReceiverUrl | None = None
    """Its URL. Only scheme, host and port are ever shown; a user and a password in it are sent as basic authentication.
    """
    url_file: SecretFile | None = None
    """File with the URL, in place of `url`. Read again at each use."""

    @property
    def address(self) -> SecretStr | Path:
        """The URL, or the file that holds it."""
        address = self.url or self.url_file
        assert address is not None  # one of the two is always written
        return address

    @classmethod
    def default_name(cls, kind: str, written: Mapping[str, Any]) -> str:
        """`kind-FILE` where a file holds the URL, else the kind: a URL may be secret as a whole."""
        file = written.get("url_file")
        if isinstance(file, str | Path):
            return f"{kind}-{Path(file).name}"
        if not isinstance(written.get("url"), str | SecretStr):
            raise ValueError("neither a URL nor a file")
        return kind


class HttpReceiverConfig(UrlReceiverConfig):
    """A receiver of HTTP requests."""

    ca_file: CertificateFile | None = None
    """Certificates (PEM) of a private authority to trust instead of the system's. Read again at each use."""
    bearer_token_file: SecretFile | None = None
    """File with a token that is sent as `Authorization: Bearer`; not beside a user in the URL. Read again at each use.
    """

    @classmethod
    def default_name(cls, kind: str, written: Mapping[str, Any]) -> str:
        """`kind-host:port`, or `kind-FILE`."""
        url = written.get("url")
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        if not isinstance(text, str):
            return super().default_name(kind, written)
        parts = urlsplit(text)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{kind}-{host}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)}"

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        if data.get("bearer_token_file") is not None and _names_a_user(data.get("url")):
            yield broken(
                ("bearer_token_file",),
                "cannot stand beside a user in the URL, both being sent as Authorization; remove one",
            )


class WebhookConfig(HttpReceiverConfig):
    """A URL that takes each message as signed JSON."""

    secret_file: SecretFile | None = None
    """File with the secret of the signature: `whsec_` and base64, or any other text, whose bytes are the key. Without
    it messages are not signed. Read again at each use.
    """


class AppriseConfig(UrlReceiverConfig):
    """A service of chat or mail, by its Apprise URL."""

    url: AppriseUrl | None = None
    """Its Apprise URL, such as `mailto://...`; nothing of it is ever shown."""

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        if missing := not_installed("apprise", "apprise"):
            yield broken((), f"needs the package apprise, {missing}")


class NotifyConfig(ConfigModel):
    """A receiver of alerts: exactly one kind, and a name."""

    exactly_one = ("alertmanager", "webhook", "apprise")

    alertmanager: HttpReceiverConfig | None = None
    """An Alertmanager; each replica of a cluster is an entry of its own."""
    webhook: WebhookConfig | None = None
    """A webhook: a URL that takes each message as signed JSON."""
    apprise: AppriseConfig | None = None
    """A service of chat or mail that Apprise knows."""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Name of the receiver in metrics, logs and the store, where its messages wait; by default `kind-host:port`, or
    `kind-FILE` with `url_file`, or the kind of an Apprise URL. Two that would have the same name need one each.
    """

    @property
    def kind(self) -> str:
        """The key of its kind: one of `exactly_one`."""
        return next(kind for kind in self.exactly_one if getattr(self, kind) is not None)

    @property
    def receiver(self) -> ReceiverConfig:
        """The configuration of its kind."""
        receiver: ReceiverConfig = getattr(self, self.kind)
        return receiver

    @property
    def receiver_name(self) -> str:
        """Its name, unique among all receivers, and the same as long as the entry is; holds no secret."""
        return self.name or self.receiver.default_name(self.kind, dict(self.receiver))


def written_name(entry: object) -> str | None:
    """The name of a receiver as it stands in the file; None where that cannot be said."""
    if not isinstance(entry, Mapping):
        return None
    if isinstance(name := entry.get("name"), str):
        return name
    kind = next((kind for kind in NotifyConfig.exactly_one if isinstance(entry.get(kind), Mapping)), None)
    if kind is None:
        return None
    try:
        return model_of(kind).default_name(kind, entry[kind])
    except ValueError:  # which is said elsewhere
        return None


def model_of(kind: str) -> type[ReceiverConfig]:
    """The model of a kind, from the annotation `Model | None` of its field."""
    annotation = NotifyConfig.model_fields[kind].annotation
    (model,) = [each for each in annotation.__args__ if each is not type(None)]  # type: ignore[union-attr]
    return model  # type: ignore[no-any-return]


def _names_a_user(url: object) -> bool:
    try:
        return isinstance(url, str) and "@" in urlsplit(url).netloc
    except ValueError:  # no URL, which is said elsewhere
        return False
