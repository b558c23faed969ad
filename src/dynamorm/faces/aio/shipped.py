# Generated from ../blocking/shipped.py by scripts/async_face.py: change that one.
"""`AsyncShipped`, the part of the asyncio face that the plugins of the library are behind: breaker, metrics, batcher, cache, costs, idempotency.

One line per method; each plugin is loaded when it is asked for. `AsyncDB` inherits them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from dynamorm import plugins
from dynamorm.models.schema.schema import schema_of

from ...errors import ConfigError
from .. import drivers
from .loading import AsyncLoading

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import timedelta
    from decimal import Decimal

    from dynamorm.config.settings import Config
    from dynamorm.models.expressions.path import Condition
    from dynamorm.plugins.audit import AsyncAuditTrail, ChangeTrackingConfig
    from dynamorm.plugins.audit.config import KeySource
    from dynamorm.plugins.breaker import CircuitBreaker
    from dynamorm.plugins.cost import CostAlert, CostEstimate, CostPlugin, CostReport
    from dynamorm.plugins.encryption.rewriting.rotation import KeyActions
    from dynamorm.plugins.idempotency import AsyncIdempotent
    from dynamorm.plugins.metrics import Metrics
    from dynamorm.plugins.tenancy.plugin import CredentialsOf

    from ...plugins import AsyncBatcher, AsyncLoader, BatchConfig, Cache, KeyProvider
    from .db import AsyncDB

M = TypeVar("M")


class AsyncShipped(AsyncLoading):
    """What `AsyncDB` does by the plugins that come with the library."""

    @property
    def breaker(self) -> CircuitBreaker:
        """The circuit breaker: ``state``, ``states``, ``isolate()``, ``reset()``, ``listen(hook)``. Views share it.

        Raises: ConfigError where there is none.

        Example: ``if db.breaker.state == "open": serve_from_the_copy()``
        """
        breaker = plugins.CircuitBreaker
        for plugin in self._session.plugins:
            if isinstance(plugin, breaker):
                return plugin
        raise ConfigError(
            "this database has no circuit breaker: Config(circuit_breaker=CircuitBreakerConfig()) gives it one"
        )

    def metrics(self) -> Metrics:
        """Figures of what this database and its views do: latencies, rates, retries; see `dynamorm.plugins.metrics.Metrics`.

        They are counted from the first call of this method on: call it right after the database is made, or set
        ``Config(metrics=True)``. Plain on both faces. Before that it costs nothing.

        Raises: ConfigError where a plugin of another kind is called ``metrics``.

        Example: ``db.metrics().percentile(0.99)``
        """
        root, metrics = self._session.root, plugins.Metrics
        return self._plugins().plugin_of_kind(
            root,
            self,
            metrics,
            lambda: metrics(gauges=self._gauges().reader_of(root, self._io), units=not root.is_used),
        )

    @property
    def keys(self) -> KeyActions[AsyncDB]:
        """What is done with the keys of encrypted fields: ``rotate``, ``reencrypt``, ``retire`` and ``shred``.

        Raises: ConfigError on a view, and where there is no provider of keys.

        Example: ``report = db.keys.rotate("pci")``
        """
        kind = plugins.EncryptionPlugin
        if self._session.scope:
            raise ConfigError("this is a view, and keys are of the whole database: use db.keys of the database itself")
        for plugin in self._session.plugins:
            if isinstance(plugin, kind):
                rewriting = self._session.verbs.rewriting.Rewriting(self._session.unbound())
                return plugin.actions(self._io.run, rewriting)
        raise ConfigError("this database has no provider of keys: db.set_encryption_provider(...) gives it one")

    def service(
        self, name: str, *, target: str, endpoint: str | None = None, region: str | None = None
    ) -> drivers.Service:
        """Another service of AWS, for a plugin that needs one: with the credentials, the time-outs and the TLS of this database.

        ``name`` is what requests are signed for, ``target`` what ``X-Amz-Target`` begins with. The endpoint is the given one, that
        of ``AWS_ENDPOINT_URL_<NAME>``, that of an emulator on this machine, or the Region's. The rules of `Config` for endpoints
        hold. Close it when it is not needed any more.

        Raises: ConfigError.

        Example: ``kms = db.service("kms", target="TrentService")``, and in a flow ``answer = yield from kms.call("ListKeys", {})``
        """
        return drivers.Service(self._session, lambda: type(self._io), name, target, endpoint, region)

    def set_encryption_provider(self, provider: KeyProvider) -> None:
        """Encrypt the fields that say ``Encrypted(ring)``, with keys from this provider; see the guide's page on encryption.

        It is registered like a plugin: right after the database is made, before the first call.

        Raises: ConfigError for what is no provider, a second one, a provider of keys of this machine in production, and after
        the first call.

        Example: ``db.set_encryption_provider(LocalKeyProvider(".keys/local"))``
        """
        self._plugins().register(self._session, self, (plugins.EncryptionPlugin(provider),))

    def new_batcher(self, config: BatchConfig | None = None) -> AsyncBatcher:
        """A batcher: what is added to it one by one is written in requests of many, and each item's end is told by a future.

        With a spool, what was left there is settled before anything new is sent; what cannot be is in ``replayed.kept``. Of a
        view, it writes within the view's scope, and what was added within it.

        Raises: ConfigError for a spool that another process has; IntegrityError, naming the file, for a spool that is
        damaged; what the service answers while a spool is settled, which stays as it is.

        Example: ``async with db.new_batcher(BatchConfig(max_wait=0.1)) as batcher: fill(batcher)``
        """
        from ..batch_items import BatchItems  # only who has a batcher needs it

        return plugins.AsyncBatcher(BatchItems(self._session, self._io), self._io.run, config)

    def loader(self, *, consistent: bool = False, concurrency: int = 4) -> AsyncLoader:
        """A loader for one piece of work, such as a request or a page: it reads items together that are wanted one by one, each once.

        What it has read once it gives again, as long as it lives. ``consistent`` and ``concurrency`` are those of `batch_get`. Plain on
        both faces; see the guide.

        Raises: ValidationError for a number of requests that is none.

        Example: ``loader = db.loader()``
        """
        gets = self._session.verbs.gets.Gets(lambda: self._session, consistent=consistent, concurrency=concurrency)
        return plugins.AsyncLoader(gets, self._io.run)

    async def invalidate_cache(self, model: type[Any], /, *key: Any, **parts: Any) -> None:
        """Let the cache let go of an item that somebody else has written, past this cache; without a key of a whole model.

        What it shows is read anew: its partition, and all indexes of its table. The key is given as to `get`. With a
        `CachingPlugin` it holds for all processes that share the Redis; where Redis fails, for this one, and for the others
        once it answers this one again. Nothing is sent to DynamoDB.

        Raises: ConfigError where there is no cache; ValidationError for a key that does not fit the model.

        Example: ``await db.invalidate_cache(User, "u1")``, or ``await db.invalidate_cache(User)``
        """
        address = self._session.verbs.items.address(self._session, model, key, parts)
        for cache in self._caches():
            await self._io.run(cache.let_go(address))

    async def clear_cache(self) -> None:
        """Let the cache let go of everything, as `invalidate_cache` does of one item. Views share the cache.

        Raises: ConfigError where there is no cache.

        Example: ``await db.clear_cache()`` after a table was restored
        """
        for cache in self._caches():
            await self._io.run(cache.let_go(None))

    def idempotent(
        self,
        key: str | Callable[..., str],
        /,
        *,
        payload: Any,
        scope: str,
        lease: float | timedelta = 30.0,
        retention: float | timedelta = 86_400.0,
        wait: float | timedelta = 0.0,
        final: type[Exception] | tuple[type[Exception], ...] = (),
        max_run: float | timedelta = 900.0,
    ) -> AsyncIdempotent:
        """An operation that is run once for its key: a block, or a decorator, whose writes and answer are applied together.

        ``key`` is the client's, 1 to 255 characters, and ``scope`` what it is a key of (``"charge"``), 1 to 64; a view of a tenant
        has keys of its own. ``payload`` is what must be the same where the key comes again. The key is held for ``lease`` seconds
        and renewed while the block runs, up to ``max_run``; the answer is kept for ``retention``, counted from the end. Another
        execution that runs is waited for up to ``wait`` seconds. ``final`` are exceptions after which it has failed for good; any
        other one gives the key back.

        A block is of the tenant whose `tenant_scope` it is made in, or else begun in; a decorated function of that in which it is called.

        As a decorator it gives the operation as the first argument, and ``key`` and ``payload`` may be functions of the others.

        Raises: ValidationError; where it begins InProgress, KeyReused, StoredFailure and TableNotFound, and TenantMismatch in the
        `tenant_scope` of another tenant; at its end LeaseLost, and as a transaction.

        Example::

            async with db.idempotent("key-1", payload={"amount": 500}, scope="charge") as op:
                if not op.replayed:
                    with op.transaction() as tx:
                        tx.create(Payment(id="p1", amount=500))
                    op.respond({"id": "p1"})
            print(op.response)
        """
        from ..records import Records  # only who has such operations needs it

        session = self._own
        root = session.root
        if root.config.preset == "local_development":
            kind = plugins.UnprotectedWrites
            self._plugins().plugin_of_kind(root, self, kind, lambda: kind(root))
        records = Records(session, plugins.record_model(session.config.idempotency_table))
        return plugins.AsyncIdempotent(
            records,
            self._io.run,
            key,
            payload=payload,
            scope=scope,
            lease=lease,
            retention=retention,
            wait=wait,
            final=final,
            max_run=max_run,
        )

    def costs(self) -> CostReport:
        """The capacity units that have been taken, by verb, model, index and scope.

        They are measured from ``Config(cost_tracking=True)``, ``db.use(CostPlugin())`` or the first such question on: what was
        before is not known, and `CostReport.window` says since when.

        Raises: ConfigError for a view of a database that was not measured before: ask the database itself, once.

        Example: ``db.costs().units("create", Payment).write``
        """
        return self._costs("costs()").report(self._plugins().tables_of(self._session))

    async def estimate_monthly_cost(self) -> CostEstimate:
        """What this database costs in a month if it goes on like this, in dollars: requests, storage and what else is paid.

        The sizes of tables are asked for, at most every six hours; where that is refused the estimate is without them.

        Raises: ConfigError for a Region whose prices are not known, and as `costs`.

        Example: ``print(f"{await db.estimate_monthly_cost():.2f}")``
        """
        return await self._io.run(
            self._costs("estimate_monthly_cost()").estimating(self, self._plugins().tables_of(self._session))
        )

    async def set_cost_alert(
        self, limit: float | Decimal, /, callback: Callable[[CostAlert], Any] | None = None
    ) -> None:
        """Be told once in a UTC month when 50, 80 and 100 % of a limit in dollars are reached, and when they will be.

        ``callback`` is given a `CostAlert`, in a thread of its own, never inside a verb; without one a warning is logged. Each
        process speaks of its own costs. A second call takes the place of the first; a month has at most six alerts.

        Raises: ValidationError for a limit that is no amount above 0; ConfigError on a view, and as `estimate_monthly_cost`.

        Example: ``await db.set_cost_alert(1000, callback=print)``
        """
        if self._session.scope:
            raise ConfigError(
                "this is a view, and an alert is of the whole database: call set_cost_alert(...) on the database itself"
            )
        await self._io.run(self._costs("set_cost_alert(...)").alerting(self, limit, callback))
        if self._session.life is not None:
            await self._io.run(self._session.life.opened())  # who watches is told that it is closed

    def enable_multi_tenancy(self, *, credentials: CredentialsOf | None = None) -> None:
        """Let models have tenants: see `dynamorm.plugins.tenancy.Tenancy`. To be called right after the database is made.

        ``credentials(tenant)`` gives the `Credentials` with which all that a view of that tenant sends is signed, as of a session
        that `session_policy` limits. It may be a coroutine function; it is asked once until they expire.

        It asks for a licence (see `enable_encryption`). Plain on both faces. A second call does nothing.

        Raises: LicenseError; ConfigError after the first call, on a view, for what is no function of a tenant, and for
        ``credentials`` of tenants that were enabled without.

        Example: ``db.enable_multi_tenancy()``, or ``db.enable_multi_tenancy(credentials=session_of)``
        """
        self._plugins().ask_licence(self._own, "multi_tenancy", "enable_multi_tenancy")
        self._have_tenants(credentials)

    def _have_tenants(self, credentials: CredentialsOf | None = None) -> None:
        """Register what `with_tenant` and `all_tenants` need, which read what is stored and so ask for no licence."""
        tenancy = plugins.Tenancy
        session = self._own
        if any(isinstance(plugin, tenancy) for plugin in session.plugins):
            if credentials is None:
                return
            raise ConfigError(
                "tenants are enabled already, so that credentials of theirs come too late: give them with the first"
                " enable_multi_tenancy(credentials=...), or Tenancy(credentials=...)"
            )
        if session.is_used or session.scope:
            raise ConfigError(
                "this database was used before tenants were enabled, and what they add to a model is settled with its first"
                " use: call db.enable_multi_tenancy() right after the database is made"
            )
        self._plugins().plugin_of_kind(
            session, self, tenancy, lambda: tenancy(credentials=credentials), "enable_multi_tenancy"
        )

    def with_tenant(self, tenant: str, /) -> Self:
        """The same database for one tenant, a text of 1 to 128 bytes: a view as of `view`, which has nothing of other tenants.

        Models with a `Tenant` field get it with each write, and what is read, changed and deleted is that tenant's. A composite key
        may name it as ``{scope.tenant}``.

        Raises: InvalidTenant; TenantMismatch on a view of another tenant, and inside its `tenant_scope`; ConfigError for a
        database that was used before tenants were enabled.

        Example: ``await db.with_tenant("merchant-1").get(AsyncTransaction, transaction_id="t1")``
        """
        self._have_tenants()
        return self.view(tenant=tenant)

    def all_tenants(self, *, reason: str) -> Self:
        """The same database for all tenants at once, as reports and repairs need it.

        There each object that is written names its tenant, and scans are possible. The view is logged as a warning, and each of its verbs as information, with the reason and with who acts (`dynamorm.actor`).

        Raises: TenantError on a view of a tenant, and inside a `tenant_scope`; InvalidTenant without a reason.

        Example: ``await db.all_tenants(reason="monthly report").model(AsyncTransaction).allow_scan().count()``
        """
        self._have_tenants()
        session = self._own
        if not session.scope:
            record = plugins.AllTenantsRecord
            self._plugins().plugin_of_kind(session, self, record, record, "all_tenants")
        return self.view(all_tenants=reason)

    def with_deleted(self) -> Self:
        """The same database with the items that are deleted and kept: a view as of `view`, whose reads give these, too.

        Raises: ConfigError without the plugin `SoftDelete`.

        Example: ``(await db.with_deleted().get(Order, "o1")).deleted_at``
        """
        self._have_soft_delete()
        return self.view(deleted="shown")

    def permanently(self) -> Self:
        """The same database, in which a delete removes the item: a view as of `with_deleted`.

        Raises: ConfigError without the plugin `SoftDelete`.

        Example: ``await db.permanently().delete(Order, "o1")``
        """
        self._have_soft_delete()
        return self.view(deleted="removed")

    @overload
    async def restore(
        self, model: type[M], /, *key: Hashable, condition: Condition | None = ..., **parts: Any
    ) -> M: ...
    @overload
    async def restore(self, obj: M, /, *, condition: Condition | None = ...) -> M: ...
    async def restore(self, subject: Any, /, *key: Any, condition: Condition | None = None, **parts: Any) -> Any:
        """Bring an item back that was deleted and kept: an object (its version is checked), or a model and a key. Returns the object.

        Raises: MissingItem; ConditionFailed for one that is not deleted; VersionConflict; ConfigError without the plugin `SoftDelete`, and
        ModelError for a model without a `DeletedAt` field.

        Example: ``await db.restore(Order, "o1")``
        """
        updates, is_deleted = plugins.restoring(subject if isinstance(subject, type) else type(subject))
        whole = is_deleted if condition is None else is_deleted & condition
        view = self.with_deleted()
        session = view._session  # noqa: SLF001 - a face too
        flow = session.verbs.update.update(
            session, subject, (*key, *updates), parts, condition=whole, upsert=False, returning="new"
        )
        return await self._io.run(flow)

    def _have_soft_delete(self) -> None:
        kind = plugins.SoftDelete
        if not any(isinstance(plugin, kind) for plugin in self._session.plugins):
            raise ConfigError(
                "this database removes what is deleted: db.use(SoftDelete()) right after it is made lets deletes mark"
            )

    def enable_audit_log(self, *, audit_key: KeySource | None = None, require_actor: bool = True) -> None:
        """Let models have `Audit` fields, which are filled in from `dynamorm.actor`. To be called right after the database is made.

        ``audit_key`` is the key of the chains of models that are tracked, where their `ChangeTrackingConfig` has none. With
        ``require_actor=False`` a write outside of any `dynamorm.actor` is made by ``"-"``. Plain on both faces.

        It asks for a licence, as `enable_encryption` does.

        Raises: LicenseError, before anything is changed; ConfigError after the first call, on a view, and for what is no key.

        Example: ``db.enable_audit_log()``
        """
        self._plugins().ask_licence(self._own, "audit_log", "enable_audit_log")
        log = plugins.AuditLog
        self.use(log(audit_key=audit_key, require_actor=require_actor))

    def enable_change_tracking(self, model: type[Any], config: ChangeTrackingConfig, /) -> None:
        """Record each change of some fields of a model, in the transaction that makes it: see `ChangeTrackingConfig`.

        To be called right after the database is made. `tables.ensure` makes the store, too. Plain on both faces.

        Raises: ConfigError after the first call, and on a view; ModelError for a field that there is not, or cannot be tracked.

        Example: ``db.enable_change_tracking(Payment, ChangeTrackingConfig(fields=["amount"], store="audit-log-table"))``
        """
        log = plugins.AuditLog
        session = self._session
        schema = schema_of(model)
        if session.scope or session.is_used:
            raise ConfigError(
                f"changes of {schema.name} are tracked from the first use of the database on, and it was used already: call"
                " db.enable_change_tracking(...) right after the database is made, and on no view"
            )
        self._plugins().plugin_of_kind(session, self, log, log, "enable_change_tracking").track(schema, config)

    @property
    def audit(self) -> AsyncAuditTrail:
        """What change tracking has recorded: ``history``, ``verify``, ``as_of``, ``restore``, ``export``, ``checkpoint``.

        Of a view, the records of its tenant. Raises: ConfigError where no changes are tracked.

        Example: ``db.audit.history(Payment, "p1")``
        """
        session = self._session
        for plugin in session.plugins:
            if isinstance(plugin, plugins.AuditLog):
                items = session.verbs.items
                address, stored = partial(items.address, session), partial(items.stored, session)
                trail = plugins.Trail(plugin, self, session.plan, address, stored, session.scope)
                return plugins.AsyncAuditTrail(trail, self._io.run)
        raise ConfigError(
            "this database keeps no audit log: db.enable_change_tracking(Model, ChangeTrackingConfig(...)) makes it keep one"
        )

    def enable_encryption(self, provider: KeyProvider | None = None) -> None:
        """Enable encrypted fields. ``provider``, where it is given, is registered as by `set_encryption_provider`.

        It asks for a licence: that of ``DYNAMORM_LICENSE``, or of the file that ``DYNAMORM_LICENSE_FILE`` names; local development
        needs none (`Presets.local_development`, `TestDB`, an engine on this machine), but one that is present must be valid. Nothing
        else asks: opening a database, reading and decrypting what is stored never do. Plain on both faces.

        Raises: LicenseError, before anything is changed.

        Example: ``db.enable_encryption()``
        """
        self._plugins().ask_licence(self._own, "encryption", "enable_encryption")
        if provider is not None:
            self.set_encryption_provider(provider)

    def _caches(self) -> list[Cache]:
        """The caches among the plugins. Raises: ConfigError where there is none."""
        kind = plugins.Cache
        caches = [plugin for plugin in self._session.plugins if isinstance(plugin, kind)]
        if not caches:
            raise ConfigError("this database has no cache: db.use(Cache()) gives it one, right after it is made")
        return caches

    def _costs(self, asked: str) -> CostPlugin:
        """What measures the costs; registered now where it is not there. ``asked`` is the method that needs it."""
        kind = plugins.CostPlugin
        found: CostPlugin = self._plugins().plugin_of_kind(self._session, self, kind, kind, asked)
        return found

    @staticmethod
    def _breaker_of(config: Config) -> CircuitBreaker | None:
        """The breaker that the settings ask for."""
        return plugins.CircuitBreaker.of(config)

    def _count_from_the_start(self) -> None:
        """Register what the settings ask for, before the first verb."""
        config = self._session.config
        if config.metrics:
            self.metrics()
        if config.cost_tracking:
            self._costs("costs()")
        if config.log_requests:
            self.use(plugins.LoggingPlugin.of_requests())
