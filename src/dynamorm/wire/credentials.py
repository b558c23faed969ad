"""Where credentials come from, and when to fetch new ones. It does not sign, and keeps no secret in an error.

The order: what the `Config` holds, the named profile, the environment, then botocore's chain (default profile, SSO,
assumed roles, container, instance metadata). botocore is imported only when it is needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from dynamorm.config.settings import Config, Credentials, CredentialsProvider
from dynamorm.effects import Call
from dynamorm.errors import ConfigError, CredentialsError
from dynamorm.errors.log import close_coroutine, interrupts

__all__ = ["CredentialSource", "Credentials"]

REFRESH_BEFORE = 120.0
"""Seconds before expiry at which new credentials are fetched: time for several attempts while the old ones work."""
RETRY_REFRESH = 30.0
"""Seconds until the next attempt after a failed refresh, as long as the old credentials still work."""
RECHECK = 300.0
"""Seconds after which temporary credentials that hide their expiry are asked for again."""

_NEVER = float("inf")
_FIX = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, pass Config(credentials=Credentials(key_id, secret)) or "
    "Config(profile=...), or run where a role is attached; for an emulator use Presets.local_development()"
)


class Flight(Protocol):
    """What one task does, and others wait for: `dynamorm.io.own_loop.Flight`."""

    @property
    def is_on(self) -> bool:
        """Whether a task does it now."""
        ...

    def joined(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Coroutine[Any, Any, Any]:
        """The result of ``work()``, or of what is under way."""
        ...


class CredentialSource:
    """Returns credentials, and fetches new ones before they expire or when the service refuses them.

    Safe to share between threads: however many ask, one fetches. ``of`` and ``fix`` are for its errors. ``ask`` is the coroutine
    function for which the function given as ``credentials`` stands on the blocking face; tasks join in the ``flight`` of one of them.

    Example::

        source = CredentialSource.from_config(config)
        credentials = source.current(now)
        if credentials is None:
            credentials = yield source.fetch(timeout)  # may block
    """

    def __init__(
        self,
        credentials: Credentials | CredentialsProvider | None = None,
        *,
        profile: str | None = None,
        region: str | None = None,
        environ: Mapping[str, str] | None = None,
        of: str = "AWS credentials",
        fix: str = _FIX,
        ask: Callable[[], Coroutine[Any, Any, Credentials]] | None = None,
        flight: Flight | None = None,
    ) -> None:
        self._given = credentials
        self._ask = ask
        self._flight = flight
        self._of = of
        self._fix = fix
        self._profile = profile
        self._region = region
        self._environ = os.environ if environ is None else environ
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.cached: Credentials | None = None
        self.fresh_until: float = 0.0
        self._refused: Credentials | None = None
        self._asked_at = 0.0
        self._chain: Any = None  # botocore's credentials object: it knows how to refresh itself

    @classmethod
    def from_config(cls, config: Config, environ: Mapping[str, str] | None = None) -> CredentialSource:
        """The source that a `Config` describes."""
        return cls(config.credentials, profile=config.profile, region=config.region, environ=environ)

    def current(self, now: float) -> Credentials | None:
        """The credentials to sign with at ``now`` (Unix seconds), or None when `load` must be called first.

        In the last two minutes before expiry one caller is sent to `load`; while it fetches, the others go on with
        the old ones.
        """
        if now < self.fresh_until:
            return self.cached
        self._asked_at = now
        cached = self.cached
        if cached is not None and self.is_fetching and _valid(cached, now):
            return cached
        return None

    @property
    def is_fetching(self) -> bool:
        """Whether somebody fetches new ones now."""
        return self._lock.locked() or (self._flight is not None and self._flight.is_on)

    def fetch(self, timeout: float) -> Call:
        """The effect that runs `load`; throws in what that raises, and TimeoutError after ``timeout`` seconds.

        What is given in the `Config` needs no waiting; a function, a file, a process or the network may.
        """
        if isinstance(self._given, Credentials):
            return Call(self.load)
        joined = None if self._flight is None else self._joined
        return Call(partial(self.load, timeout=timeout), joined, timeout=timeout)

    def load(self, now: float | None = None, timeout: float | None = None) -> Credentials:
        """Fetch credentials; may block on files, processes and the network. ``now`` defaults to the last `current`'s.

        Raises `CredentialsError` when there are none, saying what was tried and how to fix it. When a refresh fails
        while the old credentials still work, the old ones are returned. Raises TimeoutError when another thread has been
        fetching them for ``timeout`` seconds: however long that takes, one thread waits for it.
        """
        if self._pid != os.getpid():  # forked: the lock may be held by a thread that does not exist here
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._turn(timeout):
            if now is None:
                now = self._asked_at
            cached = self.cached
            if cached is not None and now < self.fresh_until:
                return cached  # another thread has fetched them meanwhile
            if self._refused is not None:
                self._chain = None  # it would return the refused ones again until they are near their expiry
            return self._settled(now, *self._fetch(now))

    def _settled(
        self, now: float, credentials: Credentials | None, expires_at: float | None, failure: str
    ) -> Credentials:
        """What is used from now on, of what was found. Raises: CredentialsError."""
        cached = self.cached
        if credentials is not None and not _valid(credentials, now):
            credentials, failure = None, "the credentials that were found have expired"
        if credentials is None:
            if cached is not None and _valid(cached, now):
                self.fresh_until = now + RETRY_REFRESH
                return cached
            self._chain = None
            raise CredentialsError(f"no usable {self._of}: {failure}. To fix it: {self._fix}")
        if credentials == self._refused:
            self._refused = None  # the next operation may try them again: new keys take a while to be known
            raise CredentialsError(
                f"AWS does not accept the {self._of.removeprefix('AWS ')} (key id {credentials.key_id}), and asking again gave"
                f" the same ones: they are wrong, deactivated, expired or of another partition. To fix it: {self._fix}"
            )
        self._refused = None
        self.cached = credentials = cached if credentials == cached and cached is not None else credentials
        self.fresh_until = _fresh_until(now, expires_at)
        return credentials

    async def _joined(self) -> Credentials:
        """As `load`, for tasks: one of them asks, however many wait."""
        assert self._flight is not None  # else nobody would be sent here
        now = self._asked_at
        found = await self._flight.joined(self._asked)
        if self.cached is not None and now < self.fresh_until:
            return self.cached  # another one that has waited was the first
        return self._settled(now, *found)

    async def _asked(self) -> tuple[Credentials | None, float | None, str]:
        assert self._ask is not None  # as above
        try:
            return _checked(await self._ask())
        except Exception as error:  # noqa: BLE001 - as in `_from_provider`
            return _failed(error)

    def invalidate(self, bad: Credentials) -> None:
        """The service refused ``bad``: fetch new ones next time, unless that has happened already.

        Never waits, so an event loop may call it: it takes no lock, and the worst a race does is one more fetch.
        """
        if self.cached == bad:
            self._refused = bad
            self.fresh_until = 0.0
            self.cached = None

    def __repr__(self) -> str:
        kind = "given" if isinstance(self._given, Credentials) else "provider" if self._given else "environment"
        return f"CredentialSource({kind}, profile={self._profile!r})"

    @contextmanager
    def _turn(self, timeout: float | None) -> Generator[None, None, None]:
        """Take the lock, to be the only one that fetches."""
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise TimeoutError("another thread is fetching the credentials")
        try:
            yield
        finally:
            self._lock.release()

    def _fetch(self, now: float) -> tuple[Credentials | None, float | None, str]:
        """Credentials and when to ask again, or None and what was tried."""
        given = self._given
        if isinstance(given, Credentials):
            return given, given.expires_at, ""
        if given is not None:
            return _from_provider(given)
        if self._profile is None:
            credentials, failure = _from_environment(self._environ)
            if credentials is not None or failure:
                return credentials, None if credentials is None else credentials.expires_at, failure
        return self._from_botocore(now)

    def _from_botocore(self, now: float) -> tuple[Credentials | None, float | None, str]:
        """Ask botocore's chain. A failure is kept as text, so that no exception chain carries secrets."""
        tried = f"profile {self._profile!r}" if self._profile else "environment variables, the default profile, roles"
        try:
            if self._chain is None:
                self._chain = _botocore_chain(self._profile, self._region, self._environ)
            if self._chain is None:
                return None, None, f"none found (tried: {tried})"
            frozen = self._chain.get_frozen_credentials()
            expiry = getattr(self._chain, "_expiry_time", None)
            expires_at = None if expiry is None else expiry.timestamp()
            credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token or None, expires_at)
        except ImportError:
            return None, None, f"none in {tried}; for profiles and roles install botocore"
        except ConfigError as error:
            return None, None, f"{tried}: {error.message}"
        except Exception as error:  # noqa: BLE001  (any failure of a foreign chain means: no credentials)
            self._chain = None
            return None, None, f"{tried}: {_describe(error)}"
        again = expires_at
        if expires_at is None and credentials.token is not None:
            again = now + RECHECK + REFRESH_BEFORE
        return credentials, again, ""


def _valid(credentials: Credentials, now: float) -> bool:
    return credentials.expires_at is None or now < credentials.expires_at


def _fresh_until(now: float, expires_at: float | None) -> float:
    """When to fetch new ones. Credentials that came with less than the usual margin are used while they last."""
    if expires_at is None:
        return _NEVER
    return max(expires_at - REFRESH_BEFORE, min(now + RETRY_REFRESH, expires_at))


def _from_provider(provider: CredentialsProvider) -> tuple[Credentials | None, float | None, str]:
    try:
        credentials = provider()
        close_coroutine(credentials)
    except BaseException as error:  # a user's function may raise anything
        if interrupts(error):
            raise
        return _failed(error)
    return _checked(credentials)


def _failed(error: BaseException) -> tuple[None, None, str]:
    return None, None, f"the function given as credentials raised {type(error).__name__}"


def _checked(credentials: Any) -> tuple[Credentials | None, float | None, str]:
    if not isinstance(credentials, Credentials):
        return None, None, f"the function given as credentials returned {type(credentials).__name__}, not Credentials"
    return credentials, credentials.expires_at, ""


def _from_environment(environ: Mapping[str, str]) -> tuple[Credentials | None, str]:
    """What AWS_ACCESS_KEY_ID and the others hold; neither credentials nor a failure when they are not set.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
    """
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID", "").strip(), environ.get("AWS_SECRET_ACCESS_KEY", "").strip()
    if not key_id and not secret:
        return None, ""
    if not key_id or not secret:
        missing = "AWS_SECRET_ACCESS_KEY" if key_id else "AWS_ACCESS_KEY_ID"
        return None, f"{missing} is not set, but its counterpart is"
    try:
        expires_at = _expiry(environ.get("AWS_CREDENTIAL_EXPIRATION", "").strip())
        return Credentials(key_id, secret, environ.get("AWS_SESSION_TOKEN", "").strip() or None, expires_at), ""
    except ConfigError as error:
        return None, f"environment variables: {error.message}"


def _expiry(text: str) -> float | None:
    """Unix seconds of the ISO 8601 time that tools export beside temporary credentials."""
    if not text:
        return None
    from datetime import UTC, datetime  # rarely set

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("AWS_CREDENTIAL_EXPIRATION is not an ISO 8601 time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _botocore_chain(profile: str | None, region: str | None, environ: Mapping[str, str]) -> Any:
    """Build botocore's credentials object, or None.

    How long and how often it asks the metadata service is AWS's setting (``AWS_METADATA_SERVICE_TIMEOUT``: once, for a
    second).
    """
    from botocore.session import Session  # costs over 100 ms: only when nothing simpler is set

    session = Session(profile=profile)
    if region is not None:
        session.set_config_variable("region", region)
    resolver = session.get_component("credential_provider")
    if environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true":
        resolver.remove("iam-role")
    return resolver.load_credentials()


def _describe(error: Exception) -> str:
    """A foreign error without what it may quote: names of classes and AWS's codes are safe, messages are not."""
    name = type(error).__name__
    response = getattr(error, "response", None)
    detail = response.get("Error") if isinstance(response, dict) else None
    code = detail.get("Code") if isinstance(detail, dict) else None
    if isinstance(code, str) and code.isalnum():
        return f"{name} ({code})"
    if name == "ProfileNotFound":
        return f"{name} (see ~/.aws/config)"
    if "SSO" in name or "Token" in name:
        return f"{name} (run: aws sso login)"
    return name
