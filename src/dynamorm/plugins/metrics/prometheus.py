"""`MetricsPlugin`: what a database does, for Prometheus, over `prometheus_client`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dynamorm.arguments import check_text
from dynamorm.errors import ConfigError
from dynamorm.outcomes import outcome_of
from dynamorm.plugin import attempt_class, consumed

from .labels import MOST_SERIES, OTHER, RESERVED, name_of

try:
    import prometheus_client
    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily
except ImportError as missing:
    raise ConfigError(
        'MetricsPlugin needs prometheus_client: pip install "dynamorm-py[metrics]" (db.metrics() needs nothing)'
    ) from missing

if TYPE_CHECKING:
    from dynamorm.effects import Reply
    from dynamorm.plugin import Call, Operation

BUCKETS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
"""Upper bounds of the buckets in seconds: DynamoDB answers in milliseconds, and an operation takes 8 s at most by default."""

_SUMMED_OTHERWISE: Final = ("retry_tokens", "clock_skew_seconds", "breaker_state")
"""Gauges that are the same for all databases of one endpoint: of these the greatest is shown, of others the sum."""


_Series: TypeAlias = "dict[tuple[str, str, str], Any]"


class _Families:
    """The collectors of one registry, which all plugins on it share."""

    def __init__(self, registry: Any, buckets: tuple[float, ...], *, scoped: bool) -> None:
        self.buckets = buckets
        self.scoped = scoped
        scope = ("scope",) if scoped else ()
        self.durations = Histogram(
            "dynamorm_operation_duration_seconds",
            "Duration of a verb, with its retries and all waiting",
            ("verb", "model", "table", "outcome", *scope),
            registry=registry,
            buckets=buckets,
        )
        self.attempts = Counter(
            "dynamorm_attempts",
            "Requests that were sent, or tried to",
            ("operation", "table", "class"),
            registry=registry,
        )
        self.retries = Counter(
            "dynamorm_retries",
            "Requests that were sent again, by what the one before came to",
            ("operation", "table", "class"),
            registry=registry,
        )
        self.units = Counter(
            "dynamorm_consumed_units",
            "Capacity units that replies told of",
            ("table", "index", "direction"),
            registry=registry,
        )
        # The series that there are, for all plugins: labels() takes its time, and there must not be too many.
        self.of_durations: dict[tuple[Any, ...], Any] = {}
        self.of_attempts: _Series = {}
        self.of_retries: _Series = {}
        self.of_units: _Series = {}
        self.gauges = _Gauges()
        registry.register(self.gauges)


class _Gauges:
    """Shows the gauges of all databases that are alive, when Prometheus asks."""

    def __init__(self) -> None:
        self.databases: weakref.WeakSet[Any] = weakref.WeakSet()

    def describe(self) -> Iterable[Any]:
        """Nothing: the names are known when there are databases."""
        return ()

    def collect(self) -> Iterator[Any]:
        """One family for each number."""
        found: dict[str, list[float]] = {}
        for db in list(self.databases):
            for name, value in db.gauges().items():
                found.setdefault(name, []).append(value)
        for name in sorted(found):
            value = max(found[name]) if name in _SUMMED_OTHERWISE else sum(found[name])
            yield GaugeMetricFamily(f"dynamorm_{name}", "See db.gauges()", value=value)


_shared: weakref.WeakKeyDictionary[Any, _Families] = weakref.WeakKeyDictionary()
_sharing = threading.Lock()


class MetricsPlugin:
    """Counts for Prometheus. Plugins on one registry share its collectors, so each database can have one.

    ``registry`` is a `prometheus_client.CollectorRegistry`; left out, the default one. ``buckets`` are the upper bounds of
    durations in seconds. ``units=False`` does not ask DynamoDB what each request costs. ``scope="tenant"`` adds the label
    ``scope``: a hash of this entry of the view's scope.

    Of each kind there are at most 2,000 series; what would be more is counted for the model or table ``other``.

    Raises: ConfigError for what is no registry, no buckets and no name; where collectors of these names, or with other buckets,
    are there already; and without `prometheus_client`.

    Example: ``db.use(MetricsPlugin(prometheus_client.REGISTRY))``
    """

    name = "prometheus"

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        buckets: Sequence[float] = BUCKETS,
        units: bool = True,
        scope: str | None = None,
        most_series: int = MOST_SERIES,
    ) -> None:
        if not isinstance(units, bool):
            raise ConfigError(f"units of a MetricsPlugin is True or False, not {type(units).__name__}")
        registry = prometheus_client.REGISTRY if registry is None else registry
        if isinstance(registry, type) or not callable(getattr(registry, "register", None)):
            raise ConfigError(
                "registry of a MetricsPlugin is a prometheus_client.CollectorRegistry, such as"
                f" prometheus_client.REGISTRY, not {type(registry).__name__}"
            )
        self._scope = None if scope is None else check_text("scope", scope, 256, error=ConfigError)
        self._families = _families(registry, _checked(buckets), scoped=scope is not None)
        self._most = max(most_series - RESERVED, 1)
        self.return_consumed_capacity: str | None = "INDEXES" if units else None

    def opened(self, db: Any) -> None:
        """Show the gauges of a database from now on."""
        self._families.gauges.databases.add(db)

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """Take in a verb: see `dynamorm.plugin.EndHook`."""
        outcome = "ok" if error is None else outcome_of(error)
        scope = None if self._scope is None else operation.scope.get(self._scope, "")
        key = (operation.verb, operation.model, operation.table, outcome, scope)
        child = self._families.of_durations.get(key)
        if child is None:
            child = self._duration(key)
        child.observe(operation.took)

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Take in an attempt: see `dynamorm.plugin.AttemptHook`."""
        good = error is None and reply is not None and reply.status == 200
        key = (call.name, call.table, "ok" if good else attempt_class(reply, error))
        families = self._families
        child = families.of_attempts.get(key)
        if child is None:
            child = self._child(families.of_attempts, families.attempts, key)
        child.inc()
        if reply is not None and b'"ConsumedCapacity"' in reply.body:
            self._count_units(call, reply)

    def retried(self, call: Call, error: BaseException) -> None:
        """Take in that another attempt follows: see `dynamorm.plugin`."""
        key = (call.name, call.table, attempt_class(None, error))
        self._child(self._families.of_retries, self._families.retries, key).inc()

    def _count_units(self, call: Call, reply: Reply) -> None:
        families = self._families
        for part in consumed(call, reply):
            for direction, units in (("read", part.read_units), ("write", part.write_units)):
                if units:
                    key = (part.table, part.index or "", direction)
                    child = families.of_units.get(key)
                    if child is None:
                        child = self._child(families.of_units, families.units, key, table_at=0)
                    child.inc(units)

    def _duration(self, key: tuple[Any, ...]) -> Any:
        """A series of the durations that is not known yet."""
        verb, model, table, outcome, scope = key
        known = self._families.of_durations
        full = len(known) >= self._most
        labels = {"verb": verb, "outcome": outcome, "model": OTHER, "table": OTHER}
        if not full:
            labels |= {"model": name_of(model), "table": table or ""}
        if scope is not None:
            labels["scope"] = OTHER if full else _hashed(scope)
        child = self._families.durations.labels(**labels)
        if not full:
            known[key] = child
        return child

    def _child(self, known: _Series, family: Any, key: tuple[str, str, str], *, table_at: int = 1) -> Any:
        """The series of these labels, one of which is the table."""
        child = known.get(key)
        if child is None:
            full = len(known) >= self._most
            labels = [*key]
            if full:
                labels[table_at] = OTHER
            child = family.labels(*labels)
            if not full:
                known[key] = child
        return child


def _hashed(value: str) -> str:
    return blake2b(value.encode(), digest_size=8).hexdigest() if value else ""


def _families(registry: Any, buckets: tuple[float, ...], *, scoped: bool) -> _Families:
    """The collectors of a registry, made with the first plugin on it. Raises: ConfigError."""
    with _sharing:
        try:
            known = _shared.get(registry)
        except TypeError:
            raise ConfigError(f"registry of a MetricsPlugin is no registry: {type(registry).__name__}") from None
        if known is None:
            try:
                known = _shared[registry] = _Families(registry, buckets, scoped=scoped)
            except ValueError as error:
                raise ConfigError(
                    "this registry has collectors called dynamorm_... that are not of a MetricsPlugin: give it another"
                    " registry, or unregister them"
                ) from error
        if known.buckets != buckets or known.scoped != scoped:
            raise ConfigError(
                "another MetricsPlugin on this registry has other buckets, or another scope, and they share one collector:"
                " give both the same, or another registry to one of them"
            )
        return known


def _checked(buckets: Any) -> tuple[float, ...]:
    """The bounds of the buckets. Raises: ConfigError."""
    try:
        bounds = tuple(float(bound) for bound in buckets)
    except (TypeError, ValueError):
        bounds = ()
    if not bounds or any(low >= high for low, high in pairwise(bounds)) or not bounds[0] > 0:
        raise ConfigError("buckets of a MetricsPlugin are seconds above 0, each greater than the one before")
    return bounds
