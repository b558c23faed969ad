"""Settings out of environment variables: texts become values here, with errors that name the variable.

It must not know the `Config` class or judge values: it is handed a table of names and forms, and gives back a dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct

from dynamorm.errors import ConfigError

PREFIX = "DYNAMORM_"
TEST_PREFIX = "DYNAMORM_TEST_"
"""Names under this belong to the test tools and are not read here."""
OTHERS: Final = frozenset({"DYNAMORM_LICENSE", "DYNAMORM_LICENSE_FILE"})
"""Names that are no settings: where a licence is (`dynamorm.config.licence.sources`)."""


class Found(Struct, frozen=True):
    """A value and the variable it stood in."""

    variable: str
    value: Any


class Form(Enum):
    """How a setting is written in the environment; the value is what an error message calls it."""

    TEXT = "a text"
    WHOLE = "a whole number such as 100"
    SECONDS = "seconds such as 2 or 2.5, or with a unit such as 500ms, 2s or 1m"
    FLAG = "true or false"
    LIST = "texts separated by commas"


POOL_FORMS: Final = {
    "max_connections": Form.WHOLE,
    "max_idle_connections": Form.WHOLE,
    "connection_timeout": Form.SECONDS,
    "request_timeout": Form.SECONDS,
    "idle_timeout": Form.SECONDS,
    "max_age": Form.SECONDS,
}
"""The settings of `HighThroughput`."""
FORMS: Final = {
    "preset": Form.TEXT,
    "region": Form.TEXT,
    "endpoint": Form.TEXT,
    "endpoint_allow_list": Form.LIST,
    "streams_endpoint": Form.TEXT,
    "use_fips_endpoint": Form.FLAG,
    "use_dualstack_endpoint": Form.FLAG,
    "account_id": Form.TEXT,
    "account_id_endpoint_mode": Form.TEXT,
    "profile": Form.TEXT,
    "table_prefix": Form.TEXT,
    "idempotency_table": Form.TEXT,
    "operation_timeout": Form.SECONDS,
    "max_attempts": Form.WHOLE,
    "retry_mode": Form.TEXT,
    "retry_base": Form.SECONDS,
    "throttle_base": Form.SECONDS,
    "retry_cap": Form.SECONDS,
    "conflict_tries": Form.WHOLE,
    "require_https": Form.FLAG,
    "min_tls_version": Form.TEXT,
    "ca_bundle": Form.TEXT,
    "verify_tls": Form.FLAG,
    "sign_requests": Form.FLAG,
    "allow_insecure_local": Form.FLAG,
    "allow_insecure_hosts": Form.LIST,
    "crc": Form.TEXT,
    "write_tokens": Form.FLAG,
    "strict_creates": Form.FLAG,
    "on_ambiguous": Form.TEXT,
    "cursor_key": Form.LIST,
    "idempotency_key": Form.LIST,
    "trust_env": Form.FLAG,
    "metrics": Form.FLAG,
    "cost_tracking": Form.FLAG,
    "log_requests": Form.FLAG,
    **POOL_FORMS,
}
"""Every setting that the environment may hold."""

_FLAGS = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip
_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0))


def read_settings(environ: Mapping[str, str], forms: Mapping[str, Form]) -> dict[str, Found]:
    """The ``DYNAMORM_<NAME>`` variables by the setting's name; an empty variable counts as not set.

    Raises `ConfigError` for a name that is not in ``forms`` (with the nearest that is) and for a malformed value.

    Example: ``read_settings({"DYNAMORM_MAX_CONNECTIONS": "50"}, {"max_connections": Form.WHOLE})``
    """
    found: dict[str, Found] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable.startswith(TEST_PREFIX) or variable in OTHERS:
            continue
        name = variable[len(PREFIX) :].lower()
        form = forms.get(name)
        if form is None or variable != variable.upper():
            raise _unknown(variable, forms)
        text = environ[variable].strip()
        if text:
            found[name] = Found(variable, value_of(variable, text, form))
    return found


def aws_profile(environ: Mapping[str, str]) -> Found | None:
    """The profile ``AWS_PROFILE`` names, unless access keys are set too: those go first, as in boto3.

    Source: https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
    """
    return None if environ.get("AWS_ACCESS_KEY_ID", "").strip() else first(environ, "AWS_PROFILE")


def aws_profile_name(environ: Mapping[str, str]) -> Found | None:
    """The profile whose settings count, also beside access keys; ``AWS_DEFAULT_PROFILE`` is boto3's older name for it."""
    return first(environ, "AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def emulator_endpoint(environ: Mapping[str, str]) -> Found | None:
    """The endpoint in ``DYNAMODB_ENDPOINT``, by which emulators are commonly named."""
    return first(environ, "DYNAMODB_ENDPOINT")


def first(environ: Mapping[str, str], *names: str) -> Found | None:
    """The first of the variables that is set to something."""
    for name in names:
        text = environ.get(name, "").strip()
        if text:
            return Found(name, text)
    return None


def value_of(variable: str, text: str, form: Form) -> Any:
    """The value of a text in this form. Raises: ConfigError, which names ``variable`` as where the text stands."""
    if form is Form.TEXT:
        return text
    if form is Form.LIST:
        return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)
    value = _PARSERS[form](text.lower())
    if value is None:
        raise ConfigError(f"{variable}={text[:60]!r} is not understood: give {form.value}")
    return value


def _flag(text: str) -> bool | None:
    return _FLAGS.get(text)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _seconds(text: str) -> float | None:
    factor = 1.0
    for unit, size in _UNITS:
        if text.endswith(unit):
            text, factor = text[: -len(unit)].rstrip(), size
            break
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        return None
    return float(text) * factor


_PARSERS = {Form.FLAG: _flag, Form.WHOLE: _whole, Form.SECONDS: _seconds}


def _unknown(variable: str, forms: Mapping[str, Form]) -> ConfigError:
    from difflib import get_close_matches  # only for this message

    # Compared without the prefix, which would make any two names look alike.
    names = {*forms, *(name[len(PREFIX) :].lower() for name in OTHERS)}
    near = get_close_matches(variable[len(PREFIX) :].lower(), names, n=1)
    known = ", ".join(sorted(PREFIX + name.upper() for name in names))
    hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else f"known are {known}"
    return ConfigError(f"{variable} is not a setting of DynamORM: {hint}")
