"""The checks of a `Config` while it is made: types, ranges, and the rules that keep data from the wrong host.

It is handed the settings and must not make them; where a value came from is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_count, check_seconds
from dynamorm.config.circuit_breaker import CircuitBreakerConfig
from dynamorm.config.endpoint import EndpointURL, host_allowed, parse_endpoint, region_of
from dynamorm.config.partitions import is_aws_host, is_dual_stack
from dynamorm.config.parts import MAX_SECONDS, Credentials, HighThroughput, force_set
from dynamorm.config.secret_keys import SecretKeys
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from dynamorm.config.settings import Config

PRESETS: Final = ("default", "local_development", "production", "high_throughput", "aws_lambda")

_TEXTS: Final = ("region", "endpoint", "profile", "table_prefix", "streams_endpoint", "account_id", "idempotency_table")
_FLAGS: Final = (
    "require_https",
    "verify_tls",
    "sign_requests",
    "allow_insecure_local",
    "write_tokens",
    "strict_creates",
    "trust_env",
    "metrics",
    "cost_tracking",
    "log_requests",
    "embedded",
)
_NEVER_NONE: Final = ("table_prefix", "idempotency_table")
_OPEN_FLAGS: Final = ("use_fips_endpoint", "use_dualstack_endpoint")
_NAME_SIGNS: Final = dict.fromkeys(map(ord, "-_."))
_CHOICES: Final[dict[str, tuple[str | None, ...]]] = {
    "min_tls_version": ("TLSv1.2", "TLSv1.3"),
    "crc": ("auto", "require", "off"),
    "on_ambiguous": ("transact", "raise"),
    "preset": PRESETS,
    "account_id_endpoint_mode": ("preferred", "disabled", "required", None),
    "retry_mode": ("standard", None),
}
_STANDARD_ONLY: Final = (
    "only 'standard' is supported (a budget of retries for each endpoint, full jitter): set it to standard or unset it, "
    "or pass Config.from_env(retry_mode='standard')"
)


def check(config: Config) -> None:
    """Refuse what is wrong or unsafe, and bring what may be written in several ways into one form.

    Raises: ConfigError, naming the setting, the limit and the fix.
    """
    _check_types(config)
    _check_ranges(config)
    url = _check_endpoint(config)
    _check_variants(config, url)
    if config.preset == "production":
        _check_production(config, url)
    if config.preset == "local_development" and not config.embedded and not (url and _is_emulator(config, url)):
        raise ConfigError(
            "the local_development preset talks to this machine only: set DYNAMODB_ENDPOINT to something like "
            "http://localhost:8000, name the host of a container in allow_insecure_hosts=('dynamodb-local',), or use "
            "Presets.production() for AWS"
        )


def check_names(given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse names that are no settings. Raises: ConfigError with the nearest name that is one."""
    for name in given:
        if name not in known:
            from difflib import get_close_matches  # only for this message

            near = get_close_matches(name, known, n=1)
            raise ConfigError(f"{name} is not a setting" + (f": did you mean {near[0]}?" if near else ""))


def _check_types(config: Config) -> None:
    for name in _TEXTS:
        value = getattr(config, name)
        if value is not None or name in _NEVER_NONE:
            _check_text(name, value)
    for name in _TEXTS:
        if name not in _NEVER_NONE and not getattr(config, name):
            force_set(config, name, None)  # env_or_default(..., "") means: not set
    for name in (*_FLAGS, *_OPEN_FLAGS):
        value = getattr(config, name)
        if not isinstance(value, bool) and not (value is None and name in _OPEN_FLAGS):
            raise ConfigError(f"{name} must be True or False, not {type(value).__name__}")
    force_set(config, "min_tls_version", _tls_version(config.min_tls_version))
    for name, choices in _CHOICES.items():
        _check_choice(name, getattr(config, name), choices)
    if not isinstance(config.performance, HighThroughput):
        raise ConfigError(f"performance must be HighThroughput(...), not {type(config.performance).__name__}")
    breaker: Any = config.circuit_breaker
    if breaker is not None and not isinstance(breaker, CircuitBreakerConfig):
        raise ConfigError(f"circuit_breaker must be CircuitBreakerConfig(...) or None, not {type(breaker).__name__}")
    for name in ("cursor_key", "idempotency_key"):
        if getattr(config, name) is not None:
            force_set(config, name, SecretKeys.of(getattr(config, name), name))
    _check_who(config)
    _check_containers(config)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not {type(value).__name__}")
    if not value.isprintable() or (" " in value and name != "profile"):  # a profile's name may hold spaces
        raise ConfigError(f"{name} holds a space or a control character")


def _check_choice(name: str, value: Any, choices: tuple[str | None, ...]) -> None:
    if not (value is None or isinstance(value, str)) or value not in choices:
        if name == "retry_mode":
            raise ConfigError(f"retry_mode={str(value)[:60]!r}: {_STANDARD_ONLY}")
        listed = ", ".join(repr(choice) for choice in choices if choice is not None)
        raise ConfigError(f"{name}={str(value)[:60]!r} is not one of {listed}")


def _tls_version(given: Any) -> Any:
    """``ssl.TLSVersion.TLSv1_2`` and ``"1.2"`` as ``"TLSv1.2"``; anything else as it is."""
    if type(given).__name__ == "TLSVersion":  # ssl is not imported to ask
        return str(given.name).replace("_", ".")
    return f"TLSv{given}" if given in ("1.2", "1.3") else given


def _check_who(config: Config) -> None:
    given = config.credentials
    if given is not None and not isinstance(given, Credentials) and not callable(given):
        raise ConfigError("credentials must be Credentials(key_id, secret), a function returning them, or None")
    if given is not None and config.profile is not None:
        raise ConfigError("credentials and profile are both set: leave one out")
    account = config.account_id
    if account is not None and not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise ConfigError("account_id must be the 12 digits of an AWS account, as a text")


def _check_containers(config: Config) -> None:
    """Bring a path and the collections into the form the attributes promise."""
    if config.ca_bundle is not None:
        try:
            force_set(config, "ca_bundle", os.fspath(config.ca_bundle) or None)
        except TypeError:
            raise ConfigError(f"ca_bundle must be a path, not {type(config.ca_bundle).__name__}") from None
    for name, form, read in (
        ("endpoint_allow_list", "'db.example.com', '*.example.com'", _allowed),
        ("allow_insecure_hosts", "'dynamodb-local',", _insecure),
    ):
        given: Any = getattr(config, name)
        if not isinstance(given, tuple | list | set | frozenset):
            raise ConfigError(f"{name} must be a tuple of host names, e.g. ({form})")
        force_set(config, name, tuple(read(entry) for entry in given))


def _allowed(entry: Any) -> str:
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


def _insecure(entry: Any) -> str:
    problem = ""
    try:
        url = parse_endpoint(f"http://{entry}" if isinstance(entry, str) else "")
        if url.port != 80 or is_aws_host(url.host) or ":" in entry.rpartition("]")[2]:
            problem = "it holds a port, or is one of AWS's"
    except ConfigError as error:
        url, problem = EndpointURL("", "", 0, loopback=False), error.message
    if problem:
        raise ConfigError(
            "allow_insecure_hosts: each entry is the whole name of an emulator's host such as 'dynamodb-local', "
            f"without scheme or port: {problem}"
        )
    return url.host


def _check_ranges(config: Config) -> None:
    force_set(
        config,
        "operation_timeout",
        check_seconds("operation_timeout", config.operation_timeout, 0.001, MAX_SECONDS, error=ConfigError),
    )
    for name in ("retry_base", "throttle_base", "retry_cap"):
        force_set(config, name, check_seconds(name, getattr(config, name), 0.0, 300.0, error=ConfigError))
    check_count("max_attempts", config.max_attempts, 1, 20, error=ConfigError)
    check_count("conflict_tries", config.conflict_tries, 1, 100, error=ConfigError)
    region = config.region
    if region is not None and not (len(region) <= 32 and region.isascii() and region.replace("-", "").isalnum()):
        raise ConfigError(f"region={region[:60]!r} is not a Region's name such as 'eu-west-1'")
    prefix = config.table_prefix
    if len(prefix) > 200 or not prefix.isascii() or not (prefix.translate(_NAME_SIGNS) or "a").isalnum():
        raise ConfigError("table_prefix may hold letters, digits, '-', '_' and '.' only, at most 200 of them")
    table = config.idempotency_table
    if (
        not 3 <= len(prefix + table) <= 255
        or not table.isascii()
        or not (table.translate(_NAME_SIGNS) or "a").isalnum()
    ):
        raise ConfigError(
            "idempotency_table is the name of a table: letters, digits, '-', '_' and '.' only, with the table_prefix 3 to 255 of"
            " them"
        )


def _is_emulator(config: Config, url: EndpointURL) -> bool:
    """Whether the endpoint is this machine, or a host that was named for plain http."""
    return url.loopback or url.host in config.allow_insecure_hosts


def _check_endpoint(config: Config) -> EndpointURL | None:
    """The rules that keep data and signatures from the wrong host. None for the default endpoint."""
    if config.embedded:
        if config.endpoint is not None:
            raise ConfigError("embedded=True starts its own engine: leave endpoint out")
        return None
    if config.engine is not None:
        return _check_engine(config)
    url = None if config.endpoint is None else parse_endpoint(config.endpoint)
    if config.streams_endpoint is not None:
        force_set(config, "streams_endpoint", _host_rules(config, "streams_endpoint", config.streams_endpoint).url)
    local = url is not None and url.loopback
    if url is not None:
        force_set(config, "endpoint", url.url)
        _host_rules(config, "endpoint", url.url)
    if not config.require_https and not local:
        raise ConfigError("require_https=False is for an endpoint on this machine only")
    if not config.verify_tls and not (local and config.allow_insecure_local):
        raise ConfigError(
            "verify_tls=False is for an endpoint on this machine with allow_insecure_local=True only; "
            "for a private authority use ca_bundle="
        )
    if not config.sign_requests and not local:
        raise ConfigError("sign_requests=False is for an endpoint on this machine only")
    return url


def _check_engine(config: Config) -> EndpointURL:
    """An engine inside this process is the endpoint, under an address of its own. Raises: ConfigError."""
    engine = config.engine
    if not callable(getattr(engine, "handle", None)) or not isinstance(getattr(engine, "address", None), str):
        raise ConfigError(
            f"engine is an Engine of dynamorm.engine, not {type(engine).__name__}: Config(engine=Engine())"
        )
    for name in ("endpoint", "streams_endpoint"):
        if getattr(config, name) not in (None, engine.address):
            raise ConfigError(f"engine answers inside this process: leave {name} out, or the engine")
    return parse_endpoint(engine.address)


def _host_rules(config: Config, name: str, text: str) -> EndpointURL:
    """The rules of one endpoint: plain http, foreign hosts, and the Region in its name."""
    url = parse_endpoint(text)
    emulator = _is_emulator(config, url)
    lax = url.host in config.allow_insecure_hosts or (url.loopback and config.allow_insecure_local)
    if url.scheme == "http" and not lax and (config.require_https or not url.loopback):
        fix = "allow_insecure_local=True" if url.loopback else _https_fix(url)
        raise ConfigError(f"{name} {url.url} is plain http, which anybody on the way can read: use {fix}")
    if not emulator and not host_allowed(url.host, config.endpoint_allow_list):
        what = "one that anybody can have with AWS" if is_aws_host(url.host) else "not AWS's"
        raise ConfigError(
            f"{name} host {url.host} is {what}: if requests shall go there, pass endpoint_allow_list=({url.host!r},)"
        )
    found = region_of(url.host)
    if found is not None and config.region is not None and found != config.region:
        raise ConfigError(
            f"{name} {url.url} is in Region {found}, but region={config.region!r} (or AWS_REGION): leave one out"
        )
    return url


def _https_fix(url: EndpointURL) -> str:
    if is_aws_host(url.host):
        return "https://"
    return f"https://, or for an emulator, outside production, allow_insecure_hosts=({url.host!r},)"


def _check_variants(config: Config, url: EndpointURL | None) -> None:
    """FIPS, dual-stack and account endpoints: with an endpoint that is none, the wish would be passed over."""
    if config.account_id_endpoint_mode == "required":
        _check_account(config, url)
    if url is None or _is_emulator(config, url):
        return
    aws = is_aws_host(url.host)
    fips = aws and ("-fips" in url.host or ".us-gov-" in url.host)
    for name, has in (("use_fips_endpoint", fips), ("use_dualstack_endpoint", aws and is_dual_stack(url.host))):
        if getattr(config, name) and not has:
            raise ConfigError(f"{name}=True, but endpoint {url.url} is none: leave one of them out")


def _check_account(config: Config, url: EndpointURL | None) -> None:
    problem = None
    if config.use_fips_endpoint:
        problem = "there are none that are FIPS endpoints: leave one of the two settings out"
    elif url is None and config.account_id is None:
        problem = "no account is known: pass account_id, or set AWS_ACCOUNT_ID or the profile's aws_account_id"
    elif url is not None and not _is_emulator(config, url) and ".ddb." not in url.host:
        problem = f"endpoint {url.url} is none: leave one of them out"
    if problem:
        raise ConfigError(f"account_id_endpoint_mode='required' asks for an account's own endpoint, but {problem}")


def _check_production(config: Config, url: EndpointURL | None) -> None:
    """Refuse what loosens the safety of payments; each of these has a place in the other presets."""
    demands = {
        "crc": "require",
        "require_https": True,
        "verify_tls": True,
        "sign_requests": True,
        "allow_insecure_local": False,
        "allow_insecure_hosts": (),
        "embedded": False,
        "engine": None,
    }
    for name, value in demands.items():
        if getattr(config, name) != value:
            raise ConfigError(f"production requires {name}={value!r}; for anything else use another preset")
    streams = config.streams_endpoint and parse_endpoint(config.streams_endpoint)
    for place in (url, streams):
        if place and not host_allowed(place.host, config.endpoint_allow_list):
            raise ConfigError(
                f"endpoint host {place.host} is not allowed in production: unset what names it, or pass "
                f"Presets.production(endpoint_allow_list=({place.host!r},))"
            )
