"""exporter-toolkit's web configuration: what may stand in the file, and what follows from it.

The format is the one that Prometheus, its exporters and `promtool check web-config` read. Its common options are here:
certificate, key, authority of the clients, users. The others are refused by name: a protection that is written down but
not there would be worse than none.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError, ValidationInfo

from monitor.config.base import ConfigModel
from monitor.config.document import Document, read
from monitor.config.paths import CertificateFile, Files
from monitor.config.problems import ConfigError, Problem
from monitor.net.tls import expiry_text, first_expiry

_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")


# Values


def _client_auth(value: object) -> object:
    if value in _UNVERIFIED:
        raise ValueError(
            "is not supported here: it lets any certificate in, unverified; write RequireAndVerifyClientCert"
        )
    return value


def _bcrypt(value: SecretStr) -> SecretStr:
    if not _BCRYPT.fullmatch(value.get_secret_value()):
        raise ValueError(
            "is not a bcrypt hash; write one that begins with $2y$ or $2b$, as `htpasswd -nBC 10 USER` prints it"
        )
    return value


def _key_file(path: Path, info: ValidationInfo) -> Path:
    if str(path) in ("", "."):
        raise ValueError("must not be empty; write the path of a file")
    path = info.context.folder / path if info.context else path
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot be read ({error.strerror}); write the path of a file with the private key in PEM form"
        ) from None
    return path


def _nothing_as(empty: Any) -> BeforeValidator:
    """A block whose every line is commented out is no block."""
    return BeforeValidator(lambda value: empty if value is None or value == {} else value)


# Shapes


class TlsConfig(ConfigModel):
    """How the endpoint speaks TLS: in version 1.2 or 1.3, with the suites and curves of OpenSSL's own choice."""

    unsupported: ClassVar[Mapping[str, str]] = {
        "cert": "write the certificate into a file, and cert_file: PATH",
        "key": "write the key into a file, and key_file: PATH",
        "client_ca": "write the certificates into a file, and client_ca_file: PATH",
        "client_allowed_sans": "remove it, and name an authority of these clients alone in client_ca_file",
        "min_version": "remove it; TLS 1.2 and 1.3 are spoken",
        "max_version": "remove it; TLS 1.2 and 1.3 are spoken",
        "cipher_suites": "remove it; the suites are OpenSSL's own choice",
        "prefer_server_cipher_suites": "remove it; the order of the suites is the server's",
        "curve_preferences": "remove it; the curves are OpenSSL's own choice",
    }

    cert_file: CertificateFile
    """The certificate, followed by the intermediate ones, in PEM form."""
    key_file: Annotated[Path, AfterValidator(_key_file)]
    """Its private key in PEM form, not encrypted."""
    client_auth_type: Annotated[
        Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"], BeforeValidator(_client_auth)
    ] = "NoClientCert"
    """Whether clients are asked for certificates."""
    client_ca_file: CertificateFile | None = None
    """The authorities whose client certificates are good."""


class WebConfig(ConfigModel):
    """exporter-toolkit's file."""

    unsupported: ClassVar[Mapping[str, str]] = {
        "http_server_config": "remove it; the service speaks HTTP/1.1 and sets its security headers itself",
        "rate_limit": "remove it, and limit the rate in a proxy before the service",
    }

    tls_server_config: Annotated[TlsConfig | None, _nothing_as(None)] = None
    """How the endpoint speaks TLS; without it plain HTTP."""
    basic_auth_users: Annotated[Mapping[str, Annotated[SecretStr, AfterValidator(_bcrypt)]], _nothing_as({})] = {}
    """bcrypt hashes of passwords by user; none means that everyone may in."""


# From the file to what is used


@dataclass(frozen=True, slots=True)
class Certificate:
    """The service's own chain of certificates.

    Attributes:
        path, line: Where the web configuration names it.
        expires: Unix seconds when the first of them expires.
    """

    path: Path
    line: int
    expires: float

    def expiry(self, now: float) -> Problem | None:
        """That it has expired at `now` (Unix seconds), or will soon; None where neither holds."""
        text = expiry_text(self.expires, now)
        return Problem(self.path, self.line, "tls_server_config.cert_file", text) if text else None


@dataclass(frozen=True, slots=True)
class Protection:
    """What a web configuration asks for.

    Attributes:
        users: bcrypt hashes of passwords by user; empty where everyone may in.
        tls: For new connections; None for plain HTTP.
        certificate: What it is served with; None for plain HTTP.
    """

    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None
    certificate: Certificate | None = None


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Protection:
    """Read the web configuration at `path`, with the certificates and keys it names. Blocks for some milliseconds.

    Raises:
        ConfigError: With every problem of the file and of those it names.
    """
    try:
        document = read(path, environ)
    except OSError as error:
        message = (
            f"cannot be read ({error.strerror}); name a file that exists with --web.config.file or http.web_config_file"
        )
        raise ConfigError([Problem(path, 1, "", message)]) from None
    problems = list(document.problems)
    try:
        config = WebConfig.model_validate({} if document.data is None else document.data, context=Files(_folder(path)))
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            if document.locate(each["loc"]) not in document.broken:
                problems.append(document.problem(each["loc"], each["msg"]))
        raise ConfigError(sorted(problems, key=lambda problem: problem.line)) from None
    tls = _context(document, config.tls_server_config, problems) if config.tls_server_config else None
    certificate = (
        _certificate(document, config.tls_server_config, problems)
        if config.tls_server_config and not problems
        else None
    )
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line))
    users = {user: hashed.get_secret_value().encode() for user, hashed in config.basic_auth_users.items()}
    return Protection(users, tls, certificate)


def fingerprint(path: Path, environ: Mapping[str, str] = os.environ) -> str:
    """sha256 over the content of the file at `path` and of those it names now; whatever state they are in.

    Another value than at the last load means that loading again would read something else. Take it before loading.
    Blocks for the time of reading small files.
    """
    files = [path]
    with suppress(OSError, ConfigError):  # nothing is named by a file that cannot be read
        data = read(path, environ).data
        tls = data.get("tls_server_config") if isinstance(data, dict) else None
        named = [tls.get(key) for key in ("cert_file", "key_file", "client_ca_file")] if isinstance(tls, dict) else []
        files += [_folder(path) / name for name in named if isinstance(name, str) and name]
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except (OSError, ValueError) as error:
            content = repr(error).encode()
        digest.update(f"{file}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _folder(path: Path) -> Path:
    # not resolve(): Kubernetes mounts files through symbolic links, whose ends are deleted with the next version
    return Path(os.path.abspath(path)).parent


def _context(document: Document, tls: TlsConfig, problems: list[Problem]) -> ssl.SSLContext:
    def problem(key: str, message: str) -> None:
        problems.append(document.problem(("tls_server_config", key), message))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, tls, problem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _verify_clients(context, tls, problem)
    return context


def _certificate(document: Document, tls: TlsConfig, problems: list[Problem]) -> Certificate | None:
    place = document.problem(("tls_server_config", "cert_file"), "")
    try:
        return Certificate(document.path, place.line, first_expiry(tls.cert_file.read_bytes()))
    except OSError as error:
        message = f"cannot be read any more ({error.strerror}); write the path of a file with certificates in PEM form"
    except ValueError:
        message = "holds a certificate that is not as RFC 5280 wants it; make a new one"
    problems.append(document.problem(("tls_server_config", "cert_file"), message))
    return None


def _load_pair(context: ssl.SSLContext, tls: TlsConfig, problem: Any) -> None:
    def password() -> str:
        raise ValueError  # without this OpenSSL asks on the terminal

    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password)
    except ValueError:
        problem("key_file", "is encrypted; write the path of a key without a password, readable by this service only")
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            problem("key_file", "is not the key of the certificate in cert_file; write the paths of a pair")
        elif error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            problem(
                "cert_file",
                f"is too weak for this machine's OpenSSL ({error.reason}); make a certificate with a longer key",
            )
        else:
            problem(
                "key_file",
                "holds no private key that can be used; write the path of a file with a private key in PEM form",
            )
    except OSError as error:
        problem(
            "key_file",
            f"cannot be read any more ({error.strerror}); write the path of a file with the private key in PEM form",
        )


def _verify_clients(context: ssl.SSLContext, tls: TlsConfig, problem: Any) -> None:
    context.verify_mode = _CLIENTS[tls.client_auth_type]
    if tls.client_ca_file is None:
        if context.verify_mode is not ssl.CERT_NONE:
            problem(
                "client_auth_type",
                "means nothing without client_ca_file; write client_ca_file: PATH of the clients' authority",
            )
        return
    if context.verify_mode is ssl.CERT_NONE:
        problem(
            "client_ca_file",
            "means nothing without client certificates; write client_auth_type: RequireAndVerifyClientCert",
        )
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # Go trusts what the file holds, also where it is no root
    try:
        context.load_verify_locations(tls.client_ca_file)
    except OSError:  # ssl.SSLError is one: the file was good a moment ago
        problem("client_ca_file", "cannot be read any more; write the path of a file with certificates in PEM form")
