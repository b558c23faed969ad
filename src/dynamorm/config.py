"""The settings, checked when they are made and frozen afterwards. It knows no protocol and opens nothing.

Every limit is documented at its field with the reason for its value.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dynamorm import config_endpoint
from dynamorm.config_cursor import CursorKeys
from dynamorm.config_parts import (
    MAX_SECONDS,
    Credentials,
    CredentialsProvider,
    HighThroughput,
    check_whole,
    force_set,
    seconds,
)
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from dynamorm.config_env import Found

__all__ = [
    "Config",
    "Credentials",
    "CredentialsProvider",
    "HighThroughput",
    "Presets",
    "config_from_env",
    "env_or_default",
]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a database object needs to know. Frozen; checked when made; safe by default.

    Where and who:

    * ``region``: e.g. ``"eu-west-1"``. Taken from an AWS endpoint's name when left out.
    * ``endpoint``: e.g. ``"https://dynamodb.eu-west-1.amazonaws.com"``, which is also the default for that Region.
      AWS's hosts are always allowed, others only when named in ``endpoint_allow_list`` (exact names, or
      ``"*.suffix"``): a request carries data and a signature, so a changed variable must not choose who gets it.
      This machine needs no entry. Link-local and metadata addresses are refused whatever is listed.
    * ``credentials``: `Credentials`, or a function that returns them. Left out: the environment, then ``profile``,
      SSO, assumed roles, container and instance roles (through botocore).
    * ``profile``: a name in ``~/.aws/config``.
    * ``table_prefix``: put before every table's name, e.g. ``"staging-"``.

    How long and how often (times are float seconds or a timedelta):

    * ``performance``: the pool and the time-outs of one attempt, `HighThroughput`.
    * ``operation_timeout`` (8.0): for a whole operation with its retries. A transaction that DynamoDB recovers by
      itself is settled about 6.5 s after the first attempt, so less than 7.5 s turns some of them into unknowns.
    * ``max_attempts`` (4): requests per operation, the first included, as in AWS's SDKs for DynamoDB.
    * ``retry_base`` (0.025): the wait before retry i is random * min(base * 2**i, cap); AWS's figure for DynamoDB.
    * ``throttle_base`` (1.0): the same after throttling; AWS's figure. Payments may prefer 0.1 with ``retry_cap=1.0``.
    * ``retry_cap`` (20.0): the longest wait before jitter; AWS's figure.
    * ``conflict_tries`` (8): attempts of an operation that meets another's transaction. Conflicts last milliseconds
      and nothing was applied, so more tries than usual are harmless.

    Safety:

    * ``require_https`` (True): plain http is refused, except to this machine with ``allow_insecure_local=True``.
    * ``min_tls_version`` (``"TLSv1.2"``, or ``"TLSv1.3"``): AWS's own minimum; older ones are broken.
    * ``ca_bundle``: a PEM file of additional authorities. ``verify_tls=False`` is for this machine only.
    * ``sign_requests`` (True): False is for emulators on this machine.
    * ``allow_insecure_local`` (False): lets http (and unverified TLS) reach this machine.
    * ``crc`` (``"auto"``): every answer's checksum is verified; one without a checksum is accepted only from hosts
      that are not AWS's. ``"require"``: never. ``"off"``: no checks, refused in production.
    * ``write_tokens`` (True): versioned writes carry a token, so that a lost answer can be settled afterwards.
    * ``on_ambiguous`` (``"transact"``): writes that are not repeatable go as one-item transactions, which DynamoDB
      makes exactly once, at twice the write units. ``"raise"``: sent plain, and `OutcomeUnknown` when no answer comes.
    * ``strict_creates`` (False): every `create` goes as a transaction with a token, so that a refusal after a lost answer
      is certain too, at twice the write units. In production it is so for models with money or a `Unique` attribute.
    * ``cursor_key``: the secret that seals cursors, 32 or more random bytes or their base64 text, the same in every
      process; or a list of them, of which the first seals and all open. Left out: a key of the process.
    * ``trust_env`` (False): True reaches https endpoints through the HTTP proxy that HTTPS_PROXY (or ALL_PROXY) names,
      but for the hosts in NO_PROXY; TLS is spoken with DynamoDB itself, through the tunnel. Never to this machine.

    ``preset`` names where the settings came from; ``"production"`` forbids loosening what keeps payments safe.
    ``embedded`` asks for an engine started as a child process in place of an endpoint.

    Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html,
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html,
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/infrastructure-security.html (TLS).

    Raises `ConfigError`, naming the setting, the limit and the fix.

    Example::

        Config(region="eu-west-1", performance=HighThroughput(max_connections=50), operation_timeout=10)
    """

    if TYPE_CHECKING:  # attributes are float seconds and a tuple; arguments may be more

        def __init__(
            self,
            *,
            region: str | None = None,
            endpoint: str | None = None,
            endpoint_allow_list: Iterable[str] = (),
            credentials: Credentials | CredentialsProvider | None = None,
            profile: str | None = None,
            table_prefix: str = "",
            performance: HighThroughput = ...,
            operation_timeout: float | timedelta = 8.0,
            max_attempts: int = 4,
            retry_base: float | timedelta = 0.025,
            throttle_base: float | timedelta = 1.0,
            retry_cap: float | timedelta = 20.0,
            conflict_tries: int = 8,
            require_https: bool = True,
            min_tls_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2",
            ca_bundle: str | os.PathLike[str] | None = None,
            verify_tls: bool = True,
            sign_requests: bool = True,
            allow_insecure_local: bool = False,
            crc: Literal["auto", "require", "off"] = "auto",
            write_tokens: bool = True,
            on_ambiguous: Literal["transact", "raise"] = "transact",
            strict_creates: bool = False,
            cursor_key: bytes | str | Iterable[bytes | str] | CursorKeys | None = None,
            trust_env: bool = False,
            preset: Literal["default", "local_development", "production", "high_throughput", "aws_lambda"] = "default",
            embedded: bool = False,
        ) -> None: ...

    region: str | None = None
    endpoint: str | None = None
    endpoint_allow_list: tuple[str, ...] = ()
    credentials: Credentials | CredentialsProvider | None = None
    profile: str | None = None
    table_prefix: str = ""
    performance: HighThroughput = HighThroughput()
    operation_timeout: float = 8.0
    max_attempts: int = 4
    retry_base: float = 0.025
    throttle_base: float = 1.0
    retry_cap: float = 20.0
    conflict_tries: int = 8
    require_https: bool = True
    min_tls_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    ca_bundle: str | None = None
    verify_tls: bool = True
    sign_requests: bool = True
    allow_insecure_local: bool = False
    crc: Literal["auto", "require", "off"] = "auto"
    write_tokens: bool = True
    on_ambiguous: Literal["transact", "raise"] = "transact"
    strict_creates: bool = False
    cursor_key: CursorKeys | None = None
    trust_env: bool = False
    preset: Literal["default", "local_development", "production", "high_throughput", "aws_lambda"] = "default"
    embedded: bool = False

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(self)
        url = _check_endpoint(self)
        if self.preset == "production":
            _check_production(self, url)
        if self.preset == "local_development" and not self.embedded and (url is None or not url.loopback):
            raise ConfigError(
                "the local_development preset talks to this machine only: set DYNAMODB_ENDPOINT to something like "
                "http://localhost:8000, or use Presets.production() for AWS"
            )

    def __repr__(self) -> str:
        shown = []
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                shown.append(f"{field.name}={self._shown(value)}")
        return f"Config({', '.join(shown)})"

    def __rich_repr__(self) -> Any:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                yield field.name, "<function>" if callable(value) else value

    @staticmethod
    def _shown(value: Any) -> str:
        return "<function>" if callable(value) else repr(value)  # a partial's repr would show its arguments

    def replace(self, **changes: Any) -> Config:
        """The same settings with some changed, checked again.

        Example: ``config.replace(operation_timeout=15)``
        """
        _check_names(changes)
        return msgspec.structs.replace(self, **changes)

    def resolve_region(self) -> str:
        """The Region to sign for: ``region``, or the one in an AWS endpoint's name.

        Raises `ConfigError` when there is none.
        """
        if self.region is not None:
            return self.region
        if self.endpoint is not None:
            found = config_endpoint.region_of(config_endpoint.parse_endpoint(self.endpoint).host)
            if found is not None:
                return found
        raise ConfigError(
            "no AWS Region is set: pass Config(region='eu-west-1'), or set AWS_REGION or DYNAMORM_REGION "
            "(for an emulator any Region will do, e.g. 'us-east-1')"
        )

    def resolve_endpoint(self) -> str:
        """The URL to send requests to: ``endpoint``, or DynamoDB's public one in the Region.

        Raises `ConfigError` when neither an endpoint nor a Region is set, and for ``embedded`` settings, which have
        none until the engine has been started and ``replace(embedded=False, endpoint=...)`` has named it.
        """
        if self.embedded:
            raise ConfigError("the embedded engine is not started yet, so it has no endpoint")
        return self.endpoint or config_endpoint.default_endpoint(self.resolve_region())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
        """The settings in the environment (default: ``os.environ``); ``overrides`` go before them.

        Read are ``DYNAMORM_<SETTING>`` for every scalar setting of `Config` and `HighThroughput`, e.g.
        ``DYNAMORM_OPERATION_TIMEOUT=10``; ``DYNAMORM_PRESET`` to start from one of the `Presets`; ``AWS_REGION``,
        ``AWS_DEFAULT_REGION``, ``AWS_PROFILE``; and for the endpoint ``DYNAMODB_ENDPOINT``,
        ``AWS_ENDPOINT_URL_DYNAMODB``, ``AWS_ENDPOINT_URL``. ``DYNAMORM_TEST_*`` belongs to the test tools.

        Raises `ConfigError` for an unknown ``DYNAMORM_*`` name, with the nearest known one, and for a bad value.
        """
        return _from_env(environ, None, overrides)


def config_from_env(environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """The same as `Config.from_env`."""
    return _from_env(environ, None, overrides)


def env_or_default(name: str, default: str) -> str:
    """The environment variable ``name``, or ``default`` when it is missing or empty.

    Example: ``Config(region=env_or_default("AWS_REGION", "us-east-1"))``
    """
    return os.environ.get(name) or default


class Presets:
    """Settings for four common places.

    Each reads the environment as `Config.from_env` does. What the preset sets gives way to the environment, and that
    to the keyword arguments, which are settings of `Config` or `HighThroughput`.

    Example: ``DB(Presets.production(operation_timeout=10))``
    """

    @staticmethod
    def local_development(**overrides: Any) -> Config:
        """For a developer's machine: an emulator at ``DYNAMODB_ENDPOINT``, else the embedded engine (``embedded``).

        Plain http to this machine is allowed, anything that is not this machine is refused, the credentials are
        made up (real ones never leave for an emulator) and the Region defaults to ``us-east-1``.
        """
        return _from_env(None, "local_development", overrides)

    @staticmethod
    def production(**overrides: Any) -> Config:
        """For AWS: a checksum on every answer, and no setting that loosens safety is accepted, from wherever it comes.

        Endpoints outside AWS must be https and named in ``endpoint_allow_list`` (this machine too); those found in
        the environment only count when the list is given in code.
        """
        return _from_env(None, "production", overrides)

    @staticmethod
    def high_throughput(**overrides: Any) -> Config:
        """For many concurrent calls: 256 connections, all of them kept when idle.

        A TLS handshake costs about a hundred times the CPU of a call, so under a load that comes in waves it pays to
        close nothing between them; 256 stays well below the usual limit of 1,024 open files.
        """
        return _from_env(None, "high_throughput", overrides)

    @staticmethod
    def aws_lambda(**overrides: Any) -> Config:
        """For AWS Lambda, where a process serves one invocation at a time and is frozen in between.

        10 connections (one invocation's own concurrency), 4 kept idle, each for 20 s only: a connection that slept in
        a frozen process is often dead, and finding that out costs a write its certainty. Connecting may take 2 s:
        inside AWS's network more means that it will not work at all. The operation time-out stays at 8 s, so give the
        function at least 10 s: its own default of 3 s would kill a write whose outcome is still being settled.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html,
        https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
        """
        return _from_env(None, "aws_lambda", overrides)


_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "local_development": {"region": "us-east-1", "allow_insecure_local": True},
    "production": {"crc": "require"},
    "high_throughput": {"max_connections": 256, "max_idle_connections": 256},
    "aws_lambda": {
        "max_connections": 10,
        "max_idle_connections": 4,
        "connection_timeout": 2.0,
        "idle_timeout": 20.0,
    },
}
_TEXTS = ("region", "endpoint", "profile", "table_prefix")
_FLAGS = (
    "require_https",
    "verify_tls",
    "sign_requests",
    "allow_insecure_local",
    "write_tokens",
    "strict_creates",
    "trust_env",
    "embedded",
)
_NAME_SIGNS = dict.fromkeys(map(ord, "-_."))
_CHOICES = {
    "min_tls_version": ("TLSv1.2", "TLSv1.3"),
    "crc": ("auto", "require", "off"),
    "on_ambiguous": ("transact", "raise"),
    "preset": tuple(_PRESETS),
}


def _from_env(environ: Mapping[str, str] | None, preset: str | None, overrides: dict[str, Any]) -> Config:
    """Preset, then environment, then overrides: the later goes before the earlier."""
    from dynamorm.config_env import POOL_FORMS  # settings made in code need none of it

    _check_names(overrides, extra=POOL_FORMS)
    if "preset" in overrides:
        raise ConfigError("preset cannot be passed here: call Presets.production() or another of the Presets")
    found = _read(os.environ if environ is None else environ, preset)
    chosen: str = found["preset"].value
    if chosen == "local_development" and "profile" not in overrides:
        overrides.setdefault("credentials", Credentials("local", "local"))
    if overrides.get("credentials") is not None and "profile" not in overrides:
        found.pop("profile", None)
    settings = _PRESETS[chosen] | {name: one.value for name, one in found.items()} | overrides
    pool = {name: settings.pop(name) for name in POOL_FORMS if name in settings}
    if "performance" in overrides and not POOL_FORMS.keys().isdisjoint(overrides):
        raise ConfigError("pass either performance=HighThroughput(...) or its single settings, not both")
    if chosen == "local_development" and not settings.get("endpoint"):
        settings.setdefault("embedded", True)
    try:
        if "performance" not in overrides:
            settings["performance"] = HighThroughput(**pool)
        return Config(**settings)
    except ConfigError as error:
        blamed = _variable_of(error.message, {name: found[name].variable for name in found.keys() - overrides.keys()})
        if not blamed:
            raise
        message = f"{blamed}: {error.message}"
    raise ConfigError(message)


def _read(environ: Mapping[str, str], preset: str | None) -> dict[str, Found]:
    """What the environment says, as far as the preset listens to it."""
    from dynamorm import config_env

    found = config_env.read_settings(environ, config_env.FORMS)
    if preset is not None:
        found["preset"] = config_env.Found("", preset)
    chosen = found.setdefault("preset", config_env.Found("", "default")).value
    if chosen not in _PRESETS:
        raise ConfigError(f"DYNAMORM_PRESET={chosen[:60]!r} is not one of {', '.join(_PRESETS)}")
    local = chosen == "local_development"
    others = {
        "region": config_env.aws_region(environ),
        "endpoint": config_env.local_endpoint(environ) if local else config_env.aws_endpoint(environ),
        "profile": None if local else config_env.aws_profile(environ),
    }
    for name, value in others.items():
        if value is not None:
            found.setdefault(name, value)
    if chosen == "production":
        found.pop("endpoint_allow_list", None)  # the environment must not vouch for what the environment says
    return found


def _variable_of(message: str, variables: Mapping[str, str]) -> str:
    """The variable of the first setting that a message names, if it came from one: that is what has to be mended."""
    words = "".join(sign if sign.isalnum() or sign == "_" else " " for sign in message).split()
    return next((variables[word] for word in words if word in variables), "")


def _check_names(given: Mapping[str, Any], *, extra: Mapping[str, Any] | None = None) -> None:
    known = (*Config.__struct_fields__, *(extra or ()))
    for name in given:
        if name not in known:
            from difflib import get_close_matches  # only for this message

            near = get_close_matches(name, known, n=1)
            raise ConfigError(f"{name} is not a setting" + (f": did you mean {near[0]}?" if near else ""))


def _check_types(config: Config) -> None:
    for name in _TEXTS:
        value = getattr(config, name)
        if value is not None or name == "table_prefix":
            _check_text(name, value)
    for name in ("region", "endpoint", "profile"):
        if not getattr(config, name):
            force_set(config, name, None)  # env_or_default(..., "") means: not set
    for name in _FLAGS:
        if not isinstance(getattr(config, name), bool):
            raise ConfigError(f"{name} must be True or False, not {type(getattr(config, name)).__name__}")
    for name, choices in _CHOICES.items():
        value = getattr(config, name)
        if not isinstance(value, str) or value not in choices:
            raise ConfigError(f"{name}={str(value)[:60]!r} is not one of {', '.join(map(repr, choices))}")
    if not isinstance(config.performance, HighThroughput):
        raise ConfigError(f"performance must be HighThroughput(...), not {type(config.performance).__name__}")
    if config.cursor_key is not None:
        force_set(config, "cursor_key", CursorKeys.of(config.cursor_key))
    _check_who(config)
    _check_containers(config)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not {type(value).__name__}")
    if not value.isprintable() or (" " in value and name != "profile"):  # a profile's name may hold spaces
        raise ConfigError(f"{name} holds a space or a control character")


def _check_who(config: Config) -> None:
    given = config.credentials
    if given is not None and not isinstance(given, Credentials) and not callable(given):
        raise ConfigError("credentials must be Credentials(key_id, secret), a function returning them, or None")
    if given is not None and config.profile is not None:
        raise ConfigError("credentials and profile are both set: leave one out")


def _check_containers(config: Config) -> None:
    """Bring a path and a collection into the form the attributes promise."""
    if config.ca_bundle is not None:
        try:
            force_set(config, "ca_bundle", os.fspath(config.ca_bundle) or None)
        except TypeError:
            raise ConfigError(f"ca_bundle must be a path, not {type(config.ca_bundle).__name__}") from None
    allowed: Any = config.endpoint_allow_list
    if not isinstance(allowed, tuple | list | set | frozenset):
        raise ConfigError("endpoint_allow_list must be a tuple of host names, e.g. ('db.example.com', '*.example.com')")
    force_set(config, "endpoint_allow_list", tuple(_check_entry(entry) for entry in allowed))


def _check_entry(entry: Any) -> str:
    text = entry.lower() if isinstance(entry, str) else ""
    host = text.removeprefix("*.")
    if not host or any(c in host for c in "*/@ ") or (":" in host and not host.startswith("[") and host.count(":") < 2):
        raise ConfigError(
            "endpoint_allow_list: each entry is a host name such as 'db.example.com' or '*.example.com', "
            "without scheme, port or path"
        )
    if text.startswith("*.") and "." not in host:
        raise ConfigError("endpoint_allow_list: '*.' needs at least two labels after it, e.g. '*.example.com'")
    return text.strip("[]")


def _check_ranges(config: Config) -> None:
    force_set(config, "operation_timeout", seconds("operation_timeout", config.operation_timeout, 0.001, MAX_SECONDS))
    for name in ("retry_base", "throttle_base", "retry_cap"):
        force_set(config, name, seconds(name, getattr(config, name), 0.0, 300.0))
    check_whole("max_attempts", config.max_attempts, 1, 20)
    check_whole("conflict_tries", config.conflict_tries, 1, 100)
    region = config.region
    if region is not None and not (len(region) <= 32 and region.isascii() and region.replace("-", "").isalnum()):
        raise ConfigError(f"region={region[:60]!r} is not a Region's name such as 'eu-west-1'")
    prefix = config.table_prefix
    if len(prefix) > 200 or not prefix.isascii() or not (prefix.translate(_NAME_SIGNS) or "a").isalnum():
        raise ConfigError("table_prefix may hold letters, digits, '-', '_' and '.' only, at most 200 of them")


def _check_endpoint(config: Config) -> config_endpoint.EndpointURL | None:
    """The rules that keep data and signatures from the wrong host. None for the default endpoint."""
    if config.embedded:
        if config.endpoint is not None:
            raise ConfigError("embedded=True starts its own engine: leave endpoint out")
        return None
    url = None if config.endpoint is None else config_endpoint.parse_endpoint(config.endpoint)
    local = url is not None and url.loopback
    lax = local and config.allow_insecure_local
    if url is not None:
        force_set(config, "endpoint", url.url)
        if url.scheme == "http" and not lax and (config.require_https or not local):
            fix = "allow_insecure_local=True" if local else "https://"
            raise ConfigError(f"endpoint {url.url} is plain http, which anybody on the way can read: use {fix}")
        if not local and not config_endpoint.host_allowed(url.host, config.endpoint_allow_list):
            raise ConfigError(
                f"endpoint host {url.host} is not AWS's: if requests shall go there, pass "
                f"endpoint_allow_list=({url.host!r},)"
            )
        found = config_endpoint.region_of(url.host)
        if found is not None and config.region is not None and found != config.region:
            raise ConfigError(
                f"endpoint {url.url} is in Region {found}, but region={config.region!r} (or AWS_REGION): leave one out"
            )
    if not config.require_https and not local:
        raise ConfigError("require_https=False is for an endpoint on this machine only")
    if not config.verify_tls and not lax:
        raise ConfigError(
            "verify_tls=False is for an endpoint on this machine with allow_insecure_local=True only; "
            "for a private authority use ca_bundle="
        )
    if not config.sign_requests and not local:
        raise ConfigError("sign_requests=False is for an endpoint on this machine only")
    return url


def _check_production(config: Config, url: config_endpoint.EndpointURL | None) -> None:
    """Refuse what loosens the safety of payments; each of these has a place in the other presets."""
    demands = {
        "crc": "require",
        "require_https": True,
        "verify_tls": True,
        "sign_requests": True,
        "allow_insecure_local": False,
        "embedded": False,
    }
    for name, value in demands.items():
        if getattr(config, name) != value:
            raise ConfigError(f"production requires {name}={value!r}; for anything else use another preset")
    if url is not None and not config_endpoint.host_allowed(url.host, config.endpoint_allow_list):
        raise ConfigError(
            f"endpoint host {url.host} is not allowed in production: unset the variable that names it, or pass "
            f"Presets.production(endpoint_allow_list=({url.host!r},))"
        )
