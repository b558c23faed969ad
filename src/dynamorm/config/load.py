"""How a `Config` comes about: preset, environment, AWS's own settings and arguments, and which of them goes first.

It is handed the class it makes and must not import it. Errors name the place where the bad value was found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dynamorm.config.aws import aws_settings, local_endpoint
from dynamorm.config.checks import check_names
from dynamorm.config.endpoint import parse_endpoint, region_of
from dynamorm.config.environment import POOL_FORMS, Found
from dynamorm.config.partitions import dynamodb_host
from dynamorm.config.parts import Credentials, HighThroughput
from dynamorm.errors import ConfigError

from . import environment as config_env

if TYPE_CHECKING:
    from dynamorm.config.settings import Config

PRESETS: Final[dict[str, dict[str, Any]]] = {
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
"""What each preset sets."""

_LEFT_OPEN: Final = (
    "region",
    "endpoint",
    "streams_endpoint",
    "ca_bundle",
    "retry_mode",
    "use_fips_endpoint",
    "use_dualstack_endpoint",
    "account_id",
    "account_id_endpoint_mode",
)
"""The settings that are AWS's to decide where a `Config` says nothing."""

NO_REGION: Final = (
    "no AWS Region is set: pass Config(region='eu-west-1'), or set AWS_REGION, DYNAMORM_REGION or the profile's region "
    "(for an emulator any Region will do, e.g. 'us-east-1')"
)


def from_env(
    make: Callable[..., Config], environ: Mapping[str, str] | None, preset: str | None, overrides: dict[str, Any]
) -> Config:
    """Preset, then environment, then overrides: the later goes before the earlier."""
    check_names(overrides, (*make.__struct_fields__, *POOL_FORMS))  # type: ignore[attr-defined] # it is the class
    if "preset" in overrides:
        raise ConfigError("preset cannot be passed here: call Presets.production() or another of the Presets")
    if "performance" in overrides and not POOL_FORMS.keys().isdisjoint(overrides):
        raise ConfigError("pass either performance=HighThroughput(...) or its single settings, not both")
    found = _read(os.environ if environ is None else environ, preset, overrides)
    chosen: str = found["preset"].value
    if chosen == "local_development" and "profile" not in overrides:
        overrides.setdefault("credentials", Credentials("local", "local"))
    if overrides.get("credentials") is not None and "profile" not in overrides:
        found.pop("profile", None)
    settings = PRESETS[chosen] | {name: one.value for name, one in found.items()} | overrides
    pool = {name: settings.pop(name) for name in POOL_FORMS if name in settings}
    if settings.get("engine") is not None:
        settings = {name: value for name, value in settings.items() if name != "endpoint" or name in overrides}
    elif chosen == "local_development" and not settings.get("endpoint"):
        settings.setdefault("embedded", True)

    def made() -> Config:
        if "performance" not in overrides:
            settings["performance"] = HighThroughput(**pool)
        return make(**settings)

    return _blaming(made, {name: one for name, one in found.items() if name not in overrides})


def resolved(config: Config, environ: Mapping[str, str]) -> Config:
    """The same settings, with what they leave open taken from AWS's, and the endpoint worked out.

    Raises: ConfigError when there is no Region, or when a setting found this way is wrong, unsafe or not supported.
    """
    if config.embedded:
        return config
    if config.engine is not None:
        credentials = config.credentials
        if credentials is None and config.endpoint is None and config.profile is None:
            credentials = Credentials("local", "local")
        region = config.region or config.engine.region
        return config.replace(endpoint=config.engine.address, region=region, credentials=credentials)
    url = None if config.endpoint is None else parse_endpoint(config.endpoint)
    emulator = url is not None and (url.loopback or url.host in config.allow_insecure_hosts)
    wanted = [name for name in _LEFT_OPEN if getattr(config, name) is None and (name == "region" or not emulator)]
    if url is not None and "streams_endpoint" in wanted:
        wanted.remove("streams_endpoint")  # who names an endpoint in code gets the streams from there
    if wanted:
        profile = None if config.profile is None else Found("profile", config.profile)
        settings = aws_settings(environ, profile, own_credentials=config.credentials is not None)
        found = {name: one for name, one in settings.items() if name in wanted}
        _let_endpoint_say(found, config.endpoint)
        config = _blaming(lambda: config.replace(**{name: one.value for name, one in found.items()}), found)
    return config if config.endpoint is not None else config.replace(endpoint=_default_endpoint(config))


def _default_endpoint(config: Config) -> str:
    """DynamoDB's own endpoint for these settings."""
    if config.region is None:
        raise ConfigError(NO_REGION)
    mode, account = config.account_id_endpoint_mode, config.account_id
    if mode == "required" and account is None:
        raise ConfigError(
            "account_id_endpoint_mode='required' asks for the account's own endpoint, but no account is known: pass "
            "account_id, or set AWS_ACCOUNT_ID or the profile's aws_account_id"
        )
    host = dynamodb_host(
        config.region,
        fips=bool(config.use_fips_endpoint),
        dual_stack=bool(config.use_dualstack_endpoint),
        account_id=None if mode == "disabled" else account,
    )
    return f"https://{host}"


def _read(environ: Mapping[str, str], preset: str | None, overrides: Mapping[str, Any]) -> dict[str, Found]:
    """What the environment says, as far as the preset listens to it."""
    found = config_env.read_settings(environ, config_env.FORMS)
    if preset is not None:
        found["preset"] = Found("", preset)
    chosen = found.setdefault("preset", Found("", "default")).value
    if chosen not in PRESETS:
        raise ConfigError(f"DYNAMORM_PRESET={chosen[:60]!r} is not one of {', '.join(PRESETS)}")
    more = _local(environ, found, overrides) if chosen == "local_development" else _of_aws(environ, found, overrides)
    for name, value in more.items():
        found.setdefault(name, value)
    _let_endpoint_say(found, overrides.get("endpoint"))
    if chosen == "production":
        found.pop("endpoint_allow_list", None)  # the environment must not vouch for what the environment says
    return found


def _of_aws(environ: Mapping[str, str], found: Mapping[str, Found], overrides: Mapping[str, Any]) -> dict[str, Found]:
    """What AWS's variables and the profile say; ``DYNAMODB_ENDPOINT`` goes before the endpoints among them."""
    given = overrides.get("profile")
    chosen = Found("profile", given) if isinstance(given, str) and given else found.get("profile")
    more = aws_settings(environ, chosen, own_credentials=overrides.get("credentials") is not None)
    profile = config_env.aws_profile(environ)
    if profile is not None:
        more["profile"] = profile
    own = config_env.emulator_endpoint(environ)
    if own is not None or "endpoint" in found or overrides.get("endpoint"):
        more.pop("streams_endpoint", None)  # it belongs to the endpoint that gives way
    return more if own is None else more | {"endpoint": own}


def _local(environ: Mapping[str, str], found: Mapping[str, Found], overrides: Mapping[str, Any]) -> dict[str, Found]:
    """The same for the preset that talks to this machine only: of AWS's endpoints, one that is an emulator's counts."""
    more = {}
    region = config_env.first(environ, "AWS_REGION", "AWS_DEFAULT_REGION")
    if region is not None:
        more["region"] = region
    endpoint = config_env.emulator_endpoint(environ)
    if endpoint is None and "endpoint" not in found and not overrides.get("endpoint"):
        listed = found.get("allow_insecure_hosts")
        hosts = overrides.get("allow_insecure_hosts", listed.value if listed is not None else ())
        endpoint = local_endpoint(environ, found.get("profile"))
        if endpoint is not None and not _is_emulator(endpoint.value, hosts):
            endpoint = None
    if endpoint is not None:
        more["endpoint"] = endpoint
    return more


def _is_emulator(endpoint: str, hosts: Any) -> bool:
    with suppress(ConfigError):
        url = parse_endpoint(endpoint)
        return url.loopback or url.host in hosts
    return False


def _let_endpoint_say(found: dict[str, Found], given: Any) -> None:
    """Drop the profile's Region where the endpoint's name has one: in a file that all programs read, it is a default."""
    region, endpoint = found.get("region"), given or (found["endpoint"].value if "endpoint" in found else None)
    if region is None or " " not in region.variable or not isinstance(endpoint, str):
        return
    with suppress(ConfigError):
        if region_of(parse_endpoint(endpoint).host) is not None:
            del found["region"]


def _blaming(make: Callable[[], Config], found: Mapping[str, Found]) -> Config:
    """Make the settings; an error about one that was found somewhere names that place, first and in the remedy."""
    try:
        return make()
    except ConfigError as error:
        place = _place_of(error.message, {name: one.variable for name, one in found.items()})
        if not place:
            raise
        is_variable = " " not in place
        example = f"Example: {place}=" if is_variable else "Example: endpoint_url = "
        told = error.message.replace("Example: endpoint=", example)
        message = f"{place}: {told}; {'correct or unset' if is_variable else 'correct or remove'} {place}"
    raise ConfigError(message)


def _place_of(message: str, places: Mapping[str, str]) -> str:
    """Where the first setting that a message names was found, if it was found: that is what has to be mended."""
    words = "".join(sign if sign.isalnum() or sign == "_" else " " for sign in message).split()
    return next((places[word] for word in words if word in places), "")
