"""The settings, checked when they are made and frozen afterwards. It knows no protocol and opens nothing.

Every limit is documented at its field with the reason for its value.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dynamorm.config.checks import check, check_names
from dynamorm.config.circuit_breaker import CircuitBreakerConfig
from dynamorm.config.endpoint import parse_endpoint, region_of
from dynamorm.config.parts import ConfigSettings, Credentials, CredentialsProvider, HighThroughput
from dynamorm.config.secret_keys import SecretKeys
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from enum import IntEnum

    from dynamorm.config.identity import DatabaseIdentity

__all__ = [
    "CircuitBreakerConfig",
    "Config",
    "Credentials",
    "CredentialsProvider",
    "HighThroughput",
    "Presets",
    "config_from_env",
    "env_or_default",
]


class Config(msgspec.Struct, frozen=True, kw_only=True, metaclass=ConfigSettings):
    """Everything a database object needs to know. Frozen; checked when made; safe by default.

    Where and who:

    * ``region``: such as ``"eu-west-1"``. Left out: the one in an AWS endpoint's name, then AWS's settings.
    * ``endpoint``: such as ``"https://dynamodb.eu-west-1.amazonaws.com"``, which is also the default for that Region.
      The hosts of AWS's services are always allowed, others only when named in ``endpoint_allow_list`` (exact names, or
      ``"*.suffix"``): a request carries data and a signature, so a changed variable must not choose who gets it.
      This machine needs no entry. Link-local and metadata addresses are refused whatever is listed.
    * ``streams_endpoint``: where streams are read. Left out: DynamoDB Streams in the Region, or ``endpoint`` itself
      when that is not AWS's.
    * ``use_fips_endpoint``, ``use_dualstack_endpoint``: which of the Region's hosts; with an ``endpoint`` that is none
      of these they are refused.
    * ``account_id``, ``account_id_endpoint_mode`` (``"preferred"``, ``"disabled"``, ``"required"``): the account's own
      host, where its number is known. What outlives the process, a spool or a cache in Redis, is bound to that account.
    * ``credentials``: `Credentials`, or a function that returns them. Left out: the environment, then ``profile``,
      SSO, assumed roles, container and instance roles (through botocore).
    * ``profile``: a name in ``~/.aws/config``.
    * ``table_prefix``: put before every table's name, e.g. ``"staging-"``.
    * ``idempotency_table`` (``"dynamorm-idempotency"``): where `DB.idempotent` keeps its records, behind the ``table_prefix``;
      ``dynamorm.payments.ensure_tables(db)`` makes it.

    How long and how often (times are float seconds or a timedelta):

    * ``performance``: the pool and the time-outs of one attempt, `HighThroughput`.
    * ``circuit_breaker`` (None): when requests are refused at once, because DynamoDB does not answer: `CircuitBreakerConfig`.
    * ``operation_timeout`` (8.0): for a whole operation with its retries. A transaction that DynamoDB recovers by
      itself is settled about 6.5 s after the first attempt, so less than 7.5 s turns some of them into unknowns.
    * ``max_attempts`` (4): requests per operation, the first included, as in AWS's SDKs for DynamoDB.
    * ``retry_mode``: ``"standard"``, the only one there is: AWS's other modes are refused wherever they are set.
    * ``retry_base`` (0.025): the wait before retry i is ``random * min(base * 2**i, cap)``; AWS's figure for DynamoDB.
    * ``throttle_base`` (1.0): the same after throttling; AWS's figure. Payments may prefer 0.1 with ``retry_cap=1.0``.
    * ``retry_cap`` (20.0): the longest wait before jitter; AWS's figure.
    * ``conflict_tries`` (8): attempts of an operation that meets another's transaction. Conflicts last milliseconds
      and nothing was applied, so more tries than usual are harmless.

    Safety:

    * ``require_https`` (True): plain http is refused, except to this machine with ``allow_insecure_local=True``.
    * ``min_tls_version`` (``"TLSv1.2"``, or ``"TLSv1.3"``): AWS's own minimum; older ones are broken. Also accepted
      are ``"1.2"`` and ``ssl.TLSVersion.TLSv1_2``.
    * ``ca_bundle``: a PEM file of authorities, trusted in place of the system's. ``verify_tls=False`` is for this
      machine only.
    * ``sign_requests`` (True): False is for emulators on this machine.
    * ``allow_insecure_local`` (False): lets http (and unverified TLS) reach this machine.
    * ``allow_insecure_hosts``: hosts that http may reach besides, such as ``("dynamodb-local",)`` for an emulator in a
      container of its own: whole names, never AWS's, never in production.
    * ``crc`` (``"auto"``): every answer's checksum is verified; one without a checksum is accepted only from hosts
      that are not AWS's. ``"require"``: never. ``"off"``: no checks, refused in production.
    * ``write_tokens`` (True): versioned writes carry a token, so that a lost answer can be settled afterwards.
    * ``on_ambiguous`` (``"transact"``): writes that are not repeatable go as one-item transactions, which DynamoDB
      makes exactly once, at twice the write units. ``"raise"``: sent plain, and `OutcomeUnknown` when no answer comes.
    * ``strict_creates`` (False): every `create` goes as a transaction with a token, so that a refusal after a lost answer
      is certain too, at twice the write units. In production it is so for models with money or a `Unique` attribute.
    * ``cursor_key``: the secret that seals cursors, 32 or more random bytes or their base64 text, the same in every
      process; or a list of them, of which the first seals and all open. Left out: a key of the process.
    * ``idempotency_key``: the secret by which payloads of `DB.idempotent` are known again, as long as that; or a list of them, the
      newest first: keep a former one for as long as its records last. Left out: a secret of each record, which stands in it.
    * ``trust_env`` (False): True reaches https endpoints through the HTTP proxy that HTTPS_PROXY (or ALL_PROXY) names,
      but for the hosts in NO_PROXY; TLS is spoken with DynamoDB itself, through the tunnel. Never to this machine.

    What is measured:

    * ``metrics`` (False): True counts for ``db.metrics()`` from the first verb on, and not only from its first call on.
    * ``cost_tracking`` (False): True asks with each request what it costs, from the first one on: see `DB.costs`.
    * ``log_requests`` (False): True logs each request, without the values in it, to the logger ``dynamorm.requests``: for development.

    Where ``region``, ``endpoint``, ``streams_endpoint``, ``ca_bundle``, ``retry_mode`` and the four settings of AWS's
    hosts are left out, AWS's own settings decide when a database is opened, as in AWS's SDKs: variables such as
    ``AWS_ENDPOINT_URL``, then the profile (`resolve`).

    ``preset`` names where the settings came from; ``"production"`` forbids loosening what keeps payments safe.
    ``embedded`` asks for the engine that the databases of a process share, in place of an endpoint. ``engine`` is one inside this process, a
    `dynamorm.engine.Engine`: then there is neither endpoint nor network, and credentials may be left out.

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
            streams_endpoint: str | None = None,
            use_fips_endpoint: bool | None = None,
            use_dualstack_endpoint: bool | None = None,
            account_id: str | None = None,
            account_id_endpoint_mode: Literal["preferred", "disabled", "required"] | None = None,
            credentials: Credentials | CredentialsProvider | None = None,
            profile: str | None = None,
            table_prefix: str = "",
            idempotency_table: str = "dynamorm-idempotency",
            performance: HighThroughput = ...,
            circuit_breaker: CircuitBreakerConfig | None = None,
            operation_timeout: float | timedelta = 8.0,
            max_attempts: int = 4,
            retry_mode: Literal["standard"] | None = None,
            retry_base: float | timedelta = 0.025,
            throttle_base: float | timedelta = 1.0,
            retry_cap: float | timedelta = 20.0,
            conflict_tries: int = 8,
            require_https: bool = True,
            min_tls_version: Literal["TLSv1.2", "TLSv1.3", "1.2", "1.3"] | IntEnum = "TLSv1.2",
            ca_bundle: str | os.PathLike[str] | None = None,
            verify_tls: bool = True,
            sign_requests: bool = True,
            allow_insecure_local: bool = False,
            allow_insecure_hosts: Iterable[str] = (),
            crc: Literal["auto", "require", "off"] = "auto",
            write_tokens: bool = True,
            on_ambiguous: Literal["transact", "raise"] = "transact",
            strict_creates: bool = False,
            cursor_key: bytes | str | Iterable[bytes | str] | SecretKeys | None = None,
            idempotency_key: bytes | str | Iterable[bytes | str] | SecretKeys | None = None,
            trust_env: bool = False,
            metrics: bool = False,
            cost_tracking: bool = False,
            log_requests: bool = False,
            preset: Literal["default", "local_development", "production", "high_throughput", "aws_lambda"] = "default",
            embedded: bool = False,
            engine: Any = None,
        ) -> None: ...

    region: str | None = None
    endpoint: str | None = None
    endpoint_allow_list: tuple[str, ...] = ()
    streams_endpoint: str | None = None
    use_fips_endpoint: bool | None = None
    use_dualstack_endpoint: bool | None = None
    account_id: str | None = None
    account_id_endpoint_mode: Literal["preferred", "disabled", "required"] | None = None
    credentials: Credentials | CredentialsProvider | None = None
    profile: str | None = None
    table_prefix: str = ""
    idempotency_table: str = "dynamorm-idempotency"
    performance: HighThroughput = HighThroughput()
    circuit_breaker: CircuitBreakerConfig | None = None
    operation_timeout: float = 8.0
    max_attempts: int = 4
    retry_mode: Literal["standard"] | None = None
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
    allow_insecure_hosts: tuple[str, ...] = ()
    crc: Literal["auto", "require", "off"] = "auto"
    write_tokens: bool = True
    on_ambiguous: Literal["transact", "raise"] = "transact"
    strict_creates: bool = False
    cursor_key: SecretKeys | None = None
    idempotency_key: SecretKeys | None = None
    trust_env: bool = False
    metrics: bool = False
    cost_tracking: bool = False
    log_requests: bool = False
    preset: Literal["default", "local_development", "production", "high_throughput", "aws_lambda"] = "default"
    embedded: bool = False
    engine: Any = None

    def __post_init__(self) -> None:
        check(self)

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
        check_names(changes, self.__struct_fields__)
        return msgspec.structs.replace(self, **changes)

    def resolve(self, environ: Mapping[str, str] | None = None) -> Config:
        """The same settings with Region and endpoint worked out, as a database does it when it is opened.

        What is left open is taken from AWS's variables in ``environ`` (default: ``os.environ``) and from the profile in
        ``~/.aws/config`` and ``~/.aws/credentials``; then comes DynamoDB's own host in the Region. Where ``endpoint``
        is this machine or one of ``allow_insecure_hosts``, only a missing Region is looked up.

        Raises `ConfigError` when no Region is set, and for a setting of AWS's that is wrong, unsafe or not supported,
        with the place where it was found.

        Example: ``Config(profile="dev").resolve().endpoint``
        """
        config: Config = _loading().resolved(self, os.environ if environ is None else environ)
        return config

    def resolve_region(self) -> str:
        """The Region to sign for: ``region``, or the one in an AWS endpoint's name, or that of AWS's settings.

        Raises `ConfigError` when there is none.
        """
        found = _region_said(self) or _region_said(self.resolve())
        if not found:
            raise ConfigError(_loading().NO_REGION)
        return found

    def resolve_endpoint(self) -> str:
        """The URL to send requests to: ``endpoint``, or that of AWS's settings, or DynamoDB's public one in the Region.

        Raises `ConfigError` when neither an endpoint nor a Region is set, and for ``embedded`` settings: the shared engine has
        none until a database is opened.
        """
        if self.embedded:
            raise ConfigError(
                "embedded=True is the engine that the databases of this process share, which is not started yet: open a database,"
                " DB(config), whose config says where it is; or name an endpoint, config.replace(embedded=False, endpoint=...)"
            )
        return self.endpoint or str(self.resolve().endpoint)

    def identity(self) -> DatabaseIdentity:
        """What tells the database of these settings from every other one: whoever keeps something of it goes by that.

        Of it are endpoint, Region, ``table_prefix``, and the account as far as it is known: ``account_id``, the account's own
        host, or an emulator's access key. See `DatabaseIdentity`.

        Raises: ConfigError, as `resolve_endpoint` and `resolve_region`.

        Example: ``one.config.identity() == other.config.identity()``
        """
        from dynamorm.config.identity import identity_of  # only where something is kept of a database

        return identity_of(self.resolve())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
        """The settings in the environment (default: ``os.environ``); ``overrides`` go before them.

        Read are ``DYNAMORM_<SETTING>`` for every scalar setting of `Config` and `HighThroughput`, e.g.
        ``DYNAMORM_OPERATION_TIMEOUT=10``; ``DYNAMORM_PRESET`` to start from one of the `Presets`;
        ``DYNAMODB_ENDPOINT``; and AWS's own settings of host, Region, authorities and retries: ``AWS_PROFILE``,
        ``AWS_REGION``, ``AWS_ENDPOINT_URL_DYNAMODB``, ``AWS_ENDPOINT_URL``, ``AWS_USE_FIPS_ENDPOINT``,
        ``AWS_CA_BUNDLE``, ``AWS_MAX_ATTEMPTS`` and so on, each followed by the profile's line of that meaning.
        ``DYNAMORM_TEST_*`` belongs to the test tools.

        Raises `ConfigError` for an unknown ``DYNAMORM_*`` name, with the nearest known one, for a bad value, for a
        setting of AWS's that is not supported, and for a profile that is not there.
        """
        return _load(environ, None, overrides)


def config_from_env(environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """The same as `Config.from_env`."""
    return _load(environ, None, overrides)


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
        """For a developer's machine: an emulator at ``DYNAMODB_ENDPOINT``, else an engine inside the process (``embedded``).

        All databases of this preset share that engine, those of child processes too.

        Plain http to this machine is allowed, anything that is not this machine or one of ``allow_insecure_hosts`` is
        refused, the credentials are made up (real ones never leave for an emulator) and the Region defaults to
        ``us-east-1``. An endpoint in AWS's own settings counts when it is an emulator of that kind; else it is left
        alone, for nothing is sent there.
        """
        return _load(None, "local_development", overrides)

    @staticmethod
    def production(**overrides: Any) -> Config:
        """For AWS: a checksum on every answer, and no setting that loosens safety is accepted, from wherever it comes.

        Endpoints outside AWS must be https and named in ``endpoint_allow_list`` (this machine too); those found in
        the environment only count when the list is given in code.
        """
        return _load(None, "production", overrides)

    @staticmethod
    def high_throughput(**overrides: Any) -> Config:
        """For many concurrent calls: 256 connections, all of them kept when idle.

        A TLS handshake costs about a hundred times the CPU of a call, so under a load that comes in waves it pays to
        close nothing between them; 256 stays well below the usual limit of 1,024 open files.
        """
        return _load(None, "high_throughput", overrides)

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
        return _load(None, "aws_lambda", overrides)


def _load(environ: Mapping[str, str] | None, preset: str | None, overrides: dict[str, Any]) -> Config:
    config: Config = _loading().from_env(Config, environ, preset, overrides)
    return config


def _region_said(config: Config) -> str | None:
    """The Region that settings name, or the endpoint of them does."""
    return config.region or (None if config.endpoint is None else region_of(parse_endpoint(config.endpoint).host))


def _loading() -> ModuleType:
    """What reads settings from where they are kept."""
    from dynamorm.config import load  # settings that are complete, and made in code, need none of it

    return load
