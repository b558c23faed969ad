"""`MetricsPlugin`: what a database does, for Prometheus, over `prometheus_client`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_count, check_text
from dynamorm.errors import ConfigError
from dynamorm.errors.outcomes import outcome_of
from dynamorm.plugin import OfOneProcess, attempt_class, consumed

from .histogram import HELD
from .labels import MOST_SERIES, OTHER, RESERVED, name_of

if TYPE_CHECKING:
    import prometheus_client

    from dynamorm.effects import Reply
    from dynamorm.plugin import Call, Operation

    from .families import Series
    from .shared import Shared

BUCKETS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
"""Upper bounds of the buckets in seconds: DynamoDB answers in milliseconds, and an operation takes 8 s at most by default."""


class MetricsPlugin(OfOneProcess):
    """Counts for Prometheus. Plugins on one registry share its collectors, so each database can have one.

    ``registry`` is a `prometheus_client.CollectorRegistry`; left out, the default one. ``buckets`` are the upper bounds of
    durations in seconds. ``units=False`` does not ask DynamoDB what each request costs. ``scope="tenant"`` adds the label
    ``scope``: a hash of this entry of the view's scope.

    Of each kind there are at most 2,000 series; what would be more is counted for the model and table ``other``.

    Raises: ConfigError for what is no registry, no buckets and no name; where collectors of these names, or with other buckets,
    are there already; and without `prometheus_client`.

    Example: ``db.use(MetricsPlugin(prometheus_client.REGISTRY))``
    """

    name = "prometheus"

    def __init__(
        self,
        registry: prometheus_client.CollectorRegistry | None = None,
        *,
        buckets: Sequence[float] = BUCKETS,
        units: bool = True,
        scope: str | None = None,
        most_series: int = MOST_SERIES,
    ) -> None:
        if not isinstance(units, bool):
            raise ConfigError(f"units of a MetricsPlugin is True or False, not {type(units).__name__}")
        self._scope = None if scope is None else check_text("scope", scope, 256, error=ConfigError)
        most = check_count("most_series", most_series, RESERVED + 1, 1_000_000, error=ConfigError)
        self._most = most - RESERVED
        self._shared: Shared = _sharing().shared_on(registry, _checked(buckets), scope)
        self._asks = units
        self.return_consumed_capacity: str | None = "INDEXES" if units else None

    def opened(self, db: Any) -> None:
        """Show the gauges of a database from now on."""
        self._shared.gauges.databases.add(db)

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """Take in a verb: see `dynamorm.plugin.EndHook`."""
        outcome = "ok" if error is None else outcome_of(error)
        scope = None if self._scope is None else operation.scope.get(self._scope, "")
        key = (operation.verb, operation.model, operation.table, outcome, scope)
        series = self._shared.durations.get(key)
        if series is None:
            series = self._durations(key)
        series.append(operation.took)  # type: ignore[arg-type] # it has ended
        if len(series) >= HELD:
            series.fold()

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Take in an attempt: see `dynamorm.plugin.AttemptHook`."""
        good = error is None and reply is not None and reply.status == 200
        key = ("attempts", call.name, call.table, "ok" if good else attempt_class(reply, error))
        counter = self._shared.counters.get(key)
        next(self._counter(key) if counter is None else counter)
        if reply is not None and (self._asks or b'"ConsumedCapacity"' in reply.body):
            for part in consumed(call, reply):
                if part.read_units:
                    self._add(part.table, part.index, "read", part.read_units)
                if part.write_units:
                    self._add(part.table, part.index, "write", part.write_units)

    def retried(self, call: Call, error: BaseException) -> None:
        """Take in that another attempt follows: see `dynamorm.plugin`."""
        next(self._counter(("retries", call.name, call.table, attempt_class(None, error))))

    def forked(self) -> None:
        """Begin anew in a child process; in the multiprocess mode of `prometheus_client` it is that which does."""
        self._shared.forked()

    def _add(self, table: str, index: str | None, direction: str, units: float) -> None:
        key = table, index, direction
        series = self._shared.units.get(key)
        if series is None:
            series = self._units(key)
        series.append(units)
        if len(series) >= HELD:
            series.fold()

    def _units(self, key: tuple[str, str | None, str]) -> Series:
        """A series of units that is not known yet."""
        table, index, direction = key
        known, families = self._shared.units, self._shared.families
        if len(known) < self._most:
            return known.setdefault(key, families.amounts("consumed_units", (table, index or "", direction)))
        return families.amounts("consumed_units", (OTHER, "", direction))

    def _durations(self, key: tuple[Any, ...]) -> Series:
        """A series of durations that is not known yet."""
        verb, model, table, outcome, scope = key
        known, families = self._shared.durations, self._shared.families
        if len(known) < self._most:
            more = () if scope is None else (_hashed(scope),)
            return known.setdefault(key, families.durations((verb, name_of(model), table or "", outcome, *more)))
        return families.durations((verb, OTHER, OTHER, outcome, *(() if scope is None else (OTHER,))))

    def _counter(self, key: tuple[str, str, str, str]) -> Iterator[Any]:
        """A counter of requests that may not be known yet."""
        name, operation, table, kind = key
        known, families = self._shared.counters, self._shared.families
        counter = known.get(key)
        if counter is None:
            if len(known) < self._most:
                return known.setdefault(key, families.counter(name, (operation, table, kind)))
            counter = families.counter(name, (operation, OTHER, kind))
        return counter


def _hashed(value: str) -> str:
    return blake2b(value.encode(), digest_size=8).hexdigest() if value else ""


def _sharing() -> ModuleType:
    """What is over prometheus_client. It is loaded here, so that the class can be named where that is not installed."""
    try:
        from . import shared  # as above
    except ImportError as missing:
        raise ConfigError(
            'MetricsPlugin needs prometheus_client: pip install "dynamorm-py[metrics]" (db.metrics() needs nothing)'
        ) from missing
    return shared


def _checked(buckets: Any) -> tuple[float, ...]:
    """The bounds of the buckets. Raises: ConfigError."""
    try:
        bounds = tuple(float(bound) for bound in buckets)
    except (TypeError, ValueError):
        bounds = ()
    if bounds and bounds[-1] == float("inf"):
        bounds = bounds[:-1]
    if not bounds or any(not low < high for low, high in pairwise((0.0, *bounds))):
        raise ConfigError("buckets of a MetricsPlugin are seconds above 0, each greater than the one before")
    return bounds
