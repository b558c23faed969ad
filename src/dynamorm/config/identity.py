"""What identifies a database: the one place that says so, for whatever keeps something of it beyond the object that reaches it.

It must not know `Config`: it is handed settings that are worked out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.config.endpoint import EndpointURL, is_aws_host, parse_endpoint, region_of
from dynamorm.config.partitions import partition_of
from dynamorm.config.parts import Credentials
from dynamorm.config.profile import expanded, shared_files
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from dynamorm.config.settings import Config


_LEADING: Final = ("AWS_", "BOTO_CONFIG", "HOME", "USERPROFILE")
"""How the variables begin that may lead to other credentials: AWS's, botocore's older file, and those of the home folder, in
which the tokens of single sign-on are kept."""

_OF_FILES: Final = ("_FILE", "BOTO_CONFIG")

_OF_NO_OWNER: Final = frozenset(
    {
        "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",  # of which the files themselves are told
        "AWS_REGION", "AWS_DEFAULT_REGION",  # the Region is a part of the identity
        "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
        "AWS_ROLE_SESSION_NAME", "AWS_CREDENTIAL_EXPIRATION",
    }
)  # fmt: skip
"""Variables that tell how, when or under which name credentials are fetched, and not whose they are."""


class DatabaseIdentity(Struct, frozen=True):
    """What tells a database from every other one. Equal ones are one database; of unequal ones nobody knows.

    * ``place``: the partition of AWS whose hosts it has (``"aws"``), or the host and port of what is not AWS's.
    * ``region``: the Region, which all of AWS's hosts and DynamoDB Local keep apart.
    * ``table_prefix``: what its tables' names begin with.
    * ``owner``: the account, as far as it is known: ``"account 123456789012"``; an access key of an emulator, which has an
      account for each, ``"key local"``; ``"anybody"`` where nothing is signed; else None.
    * ``source``: where the credentials come from, which says within one process whether two have the same owner: of a profile
      and of the usual chain also AWS's files, by their absolute paths, and the variables that lead to credentials, by their hash.

    Example: ``db.config.identity().region``
    """

    place: str
    region: str
    table_prefix: str
    owner: str | None
    source: Any

    def lasting(self, what: str, *, named: bool = False) -> str:
        """The identity as a text, the same in every process: for what outlives this one, which ``what`` names.

        ``named``: what keeps it has a name of its own, by which the program keeps accounts apart.

        Raises: ConfigError where the account is not known, and so might be another one in another process.

        Example: ``db.config.identity().lasting("a spool")``
        """
        if self.owner is None and not named:
            raise ConfigError(
                f"{what} outlives this process, and must never meet the tables of another AWS account: name the account,"
                " Config(account_id='123456789012') or AWS_ACCOUNT_ID (beside the access key), or the profile's"
                " aws_account_id; account_id_endpoint_mode='disabled' keeps the Region's host"
            )
        prefix = f", tables {self.table_prefix}*" if self.table_prefix else ""
        return f"{self.place} {self.region}, {self.owner or 'an account that is not named'}{prefix}"


def identity_of(config: Config, environ: Mapping[str, str] | None = None) -> DatabaseIdentity:
    """What identifies the database that resolved settings reach. See `Config.identity`."""
    url = parse_endpoint(config.resolve_endpoint())
    region = config.resolve_region()
    is_aws = is_aws_host(url.host)
    known = is_aws and region_of(url.host) == region
    place = partition_of(region).name if known else f"{url.host}:{url.port}"
    source = _source(config, os.environ if environ is None else environ)
    owner = _owner(config, url, source, is_aws=is_aws)
    # A key may be exchanged for another one of the same account, and a role's is, each hour: where the account is known, that
    # says it, and nothing else does.
    return DatabaseIdentity(place, region, config.table_prefix, owner, None if owner else source)


def _source(config: Config, environ: Mapping[str, str]) -> tuple[Any, ...]:
    """Where the credentials come from, in the order in which they are looked for, with all that the place is relative to."""
    given = config.credentials
    if not config.sign_requests:
        return ("anybody",)
    if isinstance(given, Credentials):
        return "key", given.key_id
    if given is not None:
        return "function", given
    if config.profile is not None:
        return "profile", config.profile, *_surroundings(environ)
    key = environ.get("AWS_ACCESS_KEY_ID", "").strip()
    return ("key", key) if key else ("chain", *_surroundings(environ))


def _surroundings(environ: Mapping[str, str]) -> tuple[str | None, ...]:
    """What a profile and the usual chain are relative to: AWS's two files, and every variable that may lead to other keys.

    A profile may name a program, a role or a host that gives credentials, and AWS adds variables from time to time: so each of
    them counts but `_OF_NO_OWNER`. Their values may be secrets: they are told by their hash.
    """
    from hashlib import sha256  # only where no key is given

    names = sorted(name for name in environ if name.startswith(_LEADING) and name not in _OF_NO_OWNER)
    found = [(name, _told(environ, name)) for name in names]
    told = repr([(name, value) for name, value in found if value])
    return *(_absolute(path) for path in shared_files(environ)), sha256(told.encode(errors="surrogatepass")).hexdigest()


def _told(environ: Mapping[str, str], name: str) -> str | None:
    """The value of a variable; a file by its absolute path."""
    value = environ[name].strip()
    return _absolute(expanded(environ, value)) if value and name.endswith(_OF_FILES) else value


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)  # noqa: PTH100 - pathlib costs milliseconds at import


def _owner(config: Config, url: EndpointURL, source: tuple[Any, ...], *, is_aws: bool) -> str | None:
    if config.account_id is not None:
        return f"account {config.account_id}"
    first, _, rest = url.host.partition(".")
    if is_aws and len(first) == 12 and first.isdigit() and rest.startswith("ddb."):
        return f"account {first}"
    if is_aws or source[0] not in ("key", "anybody"):
        return None
    return " ".join(source)
