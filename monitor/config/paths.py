"""Secrets, and paths of files, that an operator writes.

Relative paths are resolved, and files looked at, only where pydantic's validation context is a `Files`; values given by
code are taken as they are.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, PlainSerializer, SecretStr, ValidationInfo, WithJsonSchema

from monitor.logs import MASK, secrets


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


def secret_text(secret: SecretStr) -> SecretStr:
    """A secret as it can stand in a header, and from now on kept out of the log.

    Raises:
        ValueError: It cannot be one; the message repeats nothing of it.
    """
    return SecretStr(_clean(secret.get_secret_value()))


MASKED = PlainSerializer(lambda _secret: MASK, return_type=str, when_used="json")
"""How a secret is shown."""
Secret = Annotated[SecretStr, AfterValidator(secret_text), MASKED, WithJsonSchema({"type": "string", "minLength": 1})]


class Files(NamedTuple):
    """The validation context.

    Attributes:
        folder: Where relative paths start from.
        secrets: Whether files that are read again at each use must hold a secret already.
    """

    folder: Path
    secrets: bool = True


def resolve(path: Path, info: ValidationInfo) -> Path:
    """A path from the folder of the validation context on, where there is one.

    Raises:
        ValueError: It is empty.
    """
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


_FilePath = Annotated[Path, AfterValidator(resolve), WithJsonSchema({"type": "string", "minLength": 1})]
SecretFile = Annotated[_FilePath, AfterValidator(_holds_a_secret_in_time)]
"""Read at each use: where it holds no secret, what needs that fails, and nothing else."""
PresentSecretFile = Annotated[_FilePath, AfterValidator(_holds_a_secret)]
"""Without which the service does not start."""
ReadableFile = Annotated[_FilePath, AfterValidator(_can_be_read)]
CertificateFile = Annotated[_FilePath, AfterValidator(_holds_certificates)]
