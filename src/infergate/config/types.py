"""The scalar types of infergate.yaml: durations, sizes, rates, names, URLs, paths.

Each accepts what a person writes ("3s", "20MB", "10r/s") and holds a number with a known unit.
Each also refuses what could not be rendered safely: no string of the file reaches nginx's syntax
without having passed one of these patterns.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr, WithJsonSchema

from infergate.config import model_size

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_DURATION_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d+)\s*([kmg]i?b?|b)?", re.IGNORECASE)
_SIZE_UNIT_BYTES = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_RATE = re.compile(r"(\d+)r/([sm])")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_OF_THE_MESSAGE = frozenset(
    {"host", "connection", "upgrade", "content-length", "content-type", "transfer-encoding", "te"}
)
"""Headers without which a request is none, or another one."""
URL_PATH = re.compile(r"(?:/[A-Za-z0-9_.~-]+)*/?")
_LOCATION_PATH = re.compile(r"/(?:[A-Za-z0-9_.~-]+/)*")
_REQUEST_PATH = re.compile(r"/[A-Za-z0-9_.~/@:-]{0,200}")
_PASSWORD_HASH = re.compile(
    r"\$2[aby]\$(?:0[4-9]|1[0-2])\$[./A-Za-z0-9]{53}"
    r"|\$[56]\$(?:rounds=\d{4,5}\$)?[./A-Za-z0-9]{1,16}\$(?:[./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})"
)
"""What crypt(3) of glibc and of musl both have: bcrypt up to cost 12, SHA-256 and SHA-512."""
_APR1 = re.compile(r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}")
"""Apache's MD5, which `htpasswd` makes where nothing else is said; nginx has it itself."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET = re.compile(r"[!-#%-~]{1,1900}")
_HEADER_VALUE = re.compile(r"[!-#%-~]([ -#%-~]{0,1900}[!-#%-~])?")
"""Visible ASCII without "$": nginx reads variables there and cannot escape them."""


def seconds(value: Any) -> float:
    """ "500ms", "3s", "5m", "1h", "7d" or a number of seconds, as seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a duration such as 500ms, 3s, 5m or 1h")
    match = _DURATION.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a duration; write it like 500ms, 3s, 5m or 1h")
    return float(match[1]) * _DURATION_UNIT_S[match[2] or "s"]


def size_bytes(value: Any) -> int:
    """ "20MB", "512k" or a number of bytes, as bytes; k, M, G are powers of 1024, as in nginx."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a size such as 512k or 20MB")
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a size; write it like 512k, 20MB or 1G")
    return int(match[1]) * _SIZE_UNIT_BYTES[(match[2] or "b")[0].lower()]


def _rate(value: str) -> str:
    match = _RATE.fullmatch(value)
    if not match or int(match[1]) == 0:
        raise ValueError(f"{value!r} is not a rate; write it like 10r/s or 30r/m")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name: letters, digits, '-', '_' and '.', at most 63 of them, "
            "starting with a letter or digit"
        )
    return value


def _model_name(value: str) -> str:
    if not value or len(value) > 256 or _CONTROL.search(value):
        raise ValueError("a model name has 1 to 256 characters and no control characters")
    return value


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a header: letters, digits and '-'")
    return value.lower()


def _header_pattern(value: str) -> str:
    name = _header_name(value.removesuffix("*"))
    if value.endswith("*") and not name.endswith("-"):
        raise ValueError(f"{value!r}: a family of headers is written like X-Corp-*")
    if name in _OF_THE_MESSAGE:
        raise ValueError(f"{value!r} says nothing about who somebody is")
    return value.lower()


def _location_path(value: str) -> str:
    if not _LOCATION_PATH.fullmatch(value) or value == "/" or "/." in value:
        raise ValueError(f"{value!r} is not a path like /qdrant/ (starts and ends with '/')")
    return value


def _service_path(value: str) -> str:
    return value if value == "/" else _location_path(value)


def _request_path(value: str) -> str:
    if not _REQUEST_PATH.fullmatch(value):
        raise ValueError(f"{value!r} is not the beginning of a path like /n8n/rest")
    return value


def _endpoint_path(value: str) -> str:
    if not URL_PATH.fullmatch(value) or not value:
        raise ValueError(f"{value!r} is not the path of an endpoint like /v1/embeddings")
    return value


def _health_check(value: str) -> str:
    if value not in ("auto", "tcp") and not (value and URL_PATH.fullmatch(value)):
        raise ValueError(f"{value!r} is not auto, tcp, or a path like /v2/health/ready")
    return value


def _file_path(value: str) -> str:
    # "$" too: nginx reads variables in ssl_certificate and access_log paths and cannot escape them.
    if not value or _CONTROL.search(value) or any(c in value for c in "\"'$;{}\\"):
        raise ValueError(
            f"{value!r} has characters that no file name here may have: \" ' $ ; {{ }} \\"
        )
    return value


def _plain_text(value: str) -> str:
    if not value or len(value) > 200 or _CONTROL.search(value):
        raise ValueError("expected 1 to 200 characters and no control characters")
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not _SECRET.fullmatch(value.get_secret_value()):
        raise ValueError("a key here is 1 to 1,900 visible ASCII characters, without '$'")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError(
            "a header's value here is visible ASCII characters and spaces, without '$'"
        )
    return value


def _password_hash(value: SecretStr) -> SecretStr:
    if not is_password_hash(value.get_secret_value()):
        raise ValueError(
            "not a hashed password: SHA-crypt as `openssl passwd -6` prints it, bcrypt (cost 4 to "
            "12), or apr1"
        )
    return value


def is_password_hash(text: str) -> bool:
    """Whether both engines can check a password against it (crypt(3) of glibc and of musl)."""
    return _PASSWORD_HASH.fullmatch(text) is not None or is_apr1(text)


def is_apr1(text: str) -> bool:
    """Whether it is a hash that is quick to guess for who has read it."""
    return _APR1.fullmatch(text) is not None


def _workers(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= 1024):
        return value
    raise ValueError("expected auto, or a whole number from 1 to 1024")


def _model_size(value: Any) -> float:
    if isinstance(value, str) and (found := model_size.billions(value)) and found <= 100_000:
        return found
    raise ValueError(f"{value!r} is not a model's size; write it like 32B, 8x7B or 270M")


_TEXT_OR_NUMBER = {"type": ["string", "number"]}

Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({**_TEXT_OR_NUMBER, "description": "500ms, 3s, 5m, 1h, 7d, or seconds"}),
]
Bytes = Annotated[
    int,
    BeforeValidator(size_bytes),
    WithJsonSchema({"type": ["string", "integer"], "description": "512k, 20MB, 1G, or bytes"}),
]
ModelSize = Annotated[
    float,
    BeforeValidator(_model_size),
    WithJsonSchema({"type": "string", "description": "32B, 8x7B or 270M: its parameters"}),
]
Rate = Annotated[str, AfterValidator(_rate)]
Name = Annotated[str, AfterValidator(_name)]
NameOrAny = Annotated[
    str,
    AfterValidator(lambda value: value if value == "*" else _name(value)),
    WithJsonSchema({"type": "string", "pattern": r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,62})$"}),
]
ModelName = Annotated[
    str,
    AfterValidator(_model_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "pattern": r"^[^\u0000-\u001f\u007f]+$",
        }
    ),
]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderPattern = Annotated[str, AfterValidator(_header_pattern)]
EndpointPath = Annotated[str, AfterValidator(_endpoint_path)]
RequestPath = Annotated[str, AfterValidator(_request_path)]
LocationPath = Annotated[str, AfterValidator(_location_path)]
ServicePath = Annotated[str, AfterValidator(_service_path)]
HealthCheck = Annotated[str, AfterValidator(_health_check)]
FilePath = Annotated[str, AfterValidator(_file_path)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
PasswordHash = Annotated[SecretStr, AfterValidator(_password_hash)]
Workers = Annotated[int | Literal["auto"], BeforeValidator(_workers)]
PlainText = Annotated[str, AfterValidator(_plain_text)]
