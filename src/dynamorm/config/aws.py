"""The settings of AWS's SDKs that choose host, Region, authorities and retries: from the environment and the profile.

Each is honoured, or refused by name: a setting that is passed over could send a developer's writes to AWS. The
environment goes before the profile, as everywhere in AWS's SDKs. It must not know `Config`: it gives back values with
the place where each was found.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from dynamorm.config.environment import Form, Found, aws_profile_name, first, value_of
from dynamorm.config.profile import Profile, read_profile
from dynamorm.errors import ConfigError

_PLAIN: Final = {
    # setting of `Config`: variables, name in the profile, form
    "region": (("AWS_REGION", "AWS_DEFAULT_REGION"), "region", Form.TEXT),
    "ca_bundle": (("AWS_CA_BUNDLE",), "ca_bundle", Form.TEXT),
    "max_attempts": (("AWS_MAX_ATTEMPTS",), "max_attempts", Form.WHOLE),
    "retry_mode": (("AWS_RETRY_MODE",), "retry_mode", Form.TEXT),
    "use_fips_endpoint": (("AWS_USE_FIPS_ENDPOINT",), "use_fips_endpoint", Form.FLAG),
    "use_dualstack_endpoint": (("AWS_USE_DUALSTACK_ENDPOINT",), "use_dualstack_endpoint", Form.FLAG),
    "account_id_endpoint_mode": (("AWS_ACCOUNT_ID_ENDPOINT_MODE",), "account_id_endpoint_mode", Form.TEXT),
}
_IGNORE: Final = (("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",), "ignore_configured_endpoint_urls", Form.FLAG)
_DISCOVERY: Final = (
    ("AWS_ENABLE_ENDPOINT_DISCOVERY", "AWS_ENDPOINT_DISCOVERY_ENABLED"),
    "endpoint_discovery_enabled",
    Form.TEXT,
)
_SERVICES: Final = {"endpoint": "dynamodb", "streams_endpoint": "dynamodb_streams"}
"""Which setting of `Config` an endpoint of a service is, by AWS's identifier."""


def aws_settings(
    environ: Mapping[str, str], profile: Found | None, *, own_credentials: bool = False
) -> dict[str, Found]:
    """What the environment and the profile say, by the name of `Config`'s setting.

    ``profile`` is the one chosen otherwise than by AWS's variables. ``own_credentials`` says that the program brings
    its credentials itself: then no account's number that goes with other credentials is looked for.

    Raises: ConfigError for a value that is not understood, and for a setting that is not supported.

    Example: ``aws_settings({"AWS_USE_FIPS_ENDPOINT": "true"}, None)["use_fips_endpoint"].value is True``
    """
    shared = _profile(environ, profile)
    found = {name: one for name, row in _PLAIN.items() if (one := _find(environ, shared, row)) is not None}
    found |= endpoints(environ, shared)
    if not own_credentials and (account := _account(environ, shared, profile)) is not None:
        found["account_id"] = account
    _refuse_discovery(environ, shared, found)
    return found


def local_endpoint(environ: Mapping[str, str], profile: Found | None) -> Found | None:
    """The endpoint that AWS's settings name for DynamoDB, for who asks for an emulator only: a missing profile is none."""
    shared = None
    with suppress(ConfigError):
        shared = _profile(environ, profile)
    return endpoints(environ, shared).get("endpoint")


def _profile(environ: Mapping[str, str], given: Found | None) -> Profile | None:
    chosen = given or aws_profile_name(environ)
    return read_profile(environ, None) if chosen is None else read_profile(environ, chosen.value, chosen.variable)


def endpoints(environ: Mapping[str, str], shared: Profile | None) -> dict[str, Found]:
    """The endpoints of DynamoDB and of its streams: a service's own before the one for all, variables before the profile.

    ``ignore_configured_endpoint_urls`` silences all of them.
    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    ignored = _find(environ, shared, _IGNORE)
    if ignored is not None and ignored.value:
        return {}
    found = {}
    for setting, service in _SERVICES.items():
        one = first(environ, f"AWS_ENDPOINT_URL_{service.upper()}")
        if one is None and setting == "endpoint":  # what serves all services serves the streams too
            one = first(environ, "AWS_ENDPOINT_URL")
        one = one or _of_service(shared, service)
        if one is None and setting == "endpoint":
            one = _of_profile(shared, "endpoint_url")
        if one is not None:
            found[setting] = one
    return found


def _of_service(shared: Profile | None, service: str) -> Found | None:
    section = None if shared is None else shared.services.get(service)
    if shared is None or section is None:
        return None
    text = section.get("endpoint_url", "") if isinstance(section, dict) else ""
    where = f"endpoint_url of {service} in [services {shared.settings['services']}] of {shared.where}"
    return Found(where, text) if text else None


def _of_profile(shared: Profile | None, name: str) -> Found | None:
    text = None if shared is None else shared.settings.get(name)
    return Found(shared.told(name), text) if shared is not None and isinstance(text, str) and text else None


def _find(environ: Mapping[str, str], shared: Profile | None, row: tuple[tuple[str, ...], str, Form]) -> Found | None:
    variables, name, form = row
    found = first(environ, *variables) or _of_profile(shared, name)
    return None if found is None else Found(found.variable, value_of(found.variable, found.value, form))


def _account(environ: Mapping[str, str], shared: Profile | None, profile: Found | None) -> Found | None:
    """The number of the account that the credentials belong to, from where the credentials come."""
    if profile is None and environ.get("AWS_ACCESS_KEY_ID", "").strip():
        return first(environ, "AWS_ACCOUNT_ID")
    return _of_profile(shared, "aws_account_id")


def _refuse_discovery(environ: Mapping[str, str], shared: Profile | None, found: Mapping[str, Found]) -> None:
    wanted = _find(environ, shared, _DISCOVERY)
    if wanted is not None and wanted.value.lower() == "true" and "endpoint" not in found:
        raise ConfigError(
            f"{wanted.variable}: endpoint discovery is not supported, the Region's endpoint is used; set it to false or "
            "unset it"
        )
