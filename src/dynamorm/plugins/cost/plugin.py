"""`CostPlugin`: sees each attempt, and leaves a note of what it has taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from os import PathLike
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal

from dynamorm.arguments import check_choice, check_count, check_seconds
from dynamorm.effects import Call as Awaiting
from dynamorm.effects import Flow, TransportError
from dynamorm.errors import ConfigError, MalformedResponse
from dynamorm.plugin import OfOneProcess, consumed

from .attempts import ITEM_OPERATIONS, code_of, decoded, estimated, is_charged
from .estimate import CostEstimate, estimate_of
from .facts import Facts
from .ledger import ESTIMATED, MANY, MISSING, REPORTED, STREAMS, UNCERTAIN, Ledger
from .prices import Prices, prices_of, read_prices
from .report import CostReport, Tables
from .times import Times, steady_clock

if TYPE_CHECKING:
    from dynamorm.effects import Reply
    from dynamorm.plugin import Call

    from .alerts import Callback, Rule
    from .watcher import Watcher

_MILLION: Final = 1_000_000
_NO_SCOPE: Final[Mapping[str, str]] = {}


class CostPlugin(OfOneProcess):
    """Measures what a database costs. Its answers are those of `DB.costs` and `DB.estimate_monthly_cost`.

    ``region``: whose prices hold; left out, the Region of the settings. ``prices``: a file that
    ``python -m dynamorm.plugins.cost refresh`` has made; left out, the prices that come with the library.
    ``estimate="all"`` keeps the ledger of estimates of everything, also of what the service tells, which decodes each request
    and answer once more. ``max_scopes`` (2,000): scopes that are told apart; further ones are one, ``"scope=other"``.
    ``interval``: seconds between two looks of a cost alert. ``clock`` gives the time in seconds, `time.time`: it tells the month,
    and may be set at any moment. ``monotonic`` gives seconds that only go on, for all that has passed; left out, those of the system.

    It adds nothing to models, so that it may be registered after the first call; it has seen nothing of what was before.

    Raises: ConfigError for arguments that are none, and for a Region without known prices.

    Example: ``db.use(CostPlugin(region="eu-west-1"))``
    """

    name = "cost"
    return_consumed_capacity = "INDEXES"
    shows_verbs = True

    def __init__(
        self,
        *,
        region: str | None = None,
        prices: str | PathLike[str] | None = None,
        estimate: Literal["unreported", "all"] = "unreported",
        max_scopes: int = 2_000,
        interval: float = 60.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        check_choice("estimate", estimate, ("unreported", "all"), error=ConfigError)
        check_count("max_scopes", max_scopes, 1, 1_000_000, error=ConfigError)
        if not callable(clock):
            raise ConfigError("clock is a function that gives the time in seconds, such as time.time")
        if monotonic is not None and not callable(monotonic):
            raise ConfigError("monotonic is a function that gives seconds that only go on, such as time.monotonic")
        self.region: str | None = region
        self._file = prices
        if region is not None or prices is not None:
            self._check_prices()
        self.interval: float = check_seconds("interval", interval, 0.01, 86_400.0, error=ConfigError)
        self._estimates_all = estimate == "all"
        self.times: Times = Times(clock, steady_clock() if monotonic is None else monotonic)
        self._now = self.times.steady
        self.ledger: Ledger = Ledger(self.times, max_scopes)
        self.facts: Facts = Facts(self._now)
        self._watcher: Watcher | None = None
        self._alerting = RLock()

    def _check_prices(self) -> None:
        if self.region is not None:
            prices_of(self.region, self._file)
        else:
            read_prices(self._file)

    # The moments

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """The end of one attempt."""
        parts: tuple[Any, ...] = ()
        if reply is not None and reply.status == 200:
            try:
                parts = consumed(call, reply)
            except MalformedResponse:  # as if it did not tell
                parts = ()
            if parts and not self._estimates_all:
                self._note(REPORTED, call, parts)
                return
        if call.name in ITEM_OPERATIONS:
            self._look(call, reply, error, parts)
        elif call.name == "GetRecords" and reply is not None and reply.status == 200:
            self._note(STREAMS, call, ())

    def _note(self, column: int, call: Call, parts: Any) -> None:
        operation, ledger = call.operation, self.ledger
        if operation is None:
            ledger.note((self._now(), column, call.name, None, None, _NO_SCOPE, parts))
        else:
            ledger.note((self._now(), column, call.name, operation.verb, operation.model, operation.scope, parts))
        if len(ledger.notes) > MANY:
            self.settle()

    def _look(self, call: Call, reply: Reply | None, error: BaseException | None, parts: Any) -> None:
        """What an attempt has taken that the service does not tell, or all of it where that is asked for."""
        if isinstance(error, TransportError) and not error.sent:
            return
        answer = None if reply is None else decoded(reply.body)
        model = None if call.operation is None else call.operation.model
        request = decoded(call.body)
        averages = self.ledger.traffic
        if reply is not None and reply.status == 200:
            found = estimated(call.name, request, answer, call.table, averages, model)
            if not parts:
                self._note(MISSING, call, found)
            else:
                self._note(REPORTED, call, parts)
                self._note(ESTIMATED, call, found)
            return
        charged: bool | None = None
        if reply is not None and 400 <= reply.status < 500 and answer is not None and code_of(answer):
            charged = is_charged(answer)
        if charged is not False:
            found = estimated(call.name, request, answer if charged else None, call.table, averages, model)
            self._note(MISSING if charged else UNCERTAIN, call, found)

    def explained(self, request: Any, config: Any) -> str | None:
        """What a million such requests cost, for `explain`."""
        capacity = request.capacity
        if capacity is None:
            return None
        try:
            prices = self.prices_for(config)
        except ConfigError:
            return "no price is known for this Region: python -m dynamorm.plugins.cost refresh"
        dollars = (Decimal(capacity.least) * prices.prices[capacity.kind] * _MILLION).quantize(Decimal("0.0001"))
        more = "" if capacity.most == capacity.least else " or more"
        return f"${dollars.normalize():f}{more} per million calls (on demand, {prices.region}, {prices.priced_on})"

    def forked(self) -> None:
        """A child process begins with empty books: what was noted is its parent's."""
        self.ledger.start()
        self.facts.forked()
        self._alerting = RLock()
        if self._watcher is not None:
            self._watcher.forked()

    # What it tells

    def settle(self) -> None:
        """Add up what was noted, unless somebody is at it."""
        self.ledger.settle(wait=False)
        if self._watcher is not None:
            self._watcher.revive()

    def prices_for(self, config: Any) -> Prices:
        """The prices that hold for a database. Raises: ConfigError for a Region without known prices."""
        return prices_of(self.region or config.resolve_region(), self._file)

    def price_of_region(self, region: str) -> Prices | None:
        """The prices of another Region, None where they are not known."""
        try:
            return prices_of(region, self._file)
        except ConfigError:
            return None

    def report(self, tables: Tables) -> CostReport:
        """The units. ``tables`` are the models that are stored in each table."""
        return CostReport(self.ledger, tables, self.times)

    def estimating(self, db: Any, tables: Tables) -> Flow[CostEstimate]:
        """The estimate of a month: a flow, which looks at tables. Raises: ConfigError for a Region without known prices."""
        prices = self.prices_for(db.config)
        rows = self.ledger.rows()
        used = {key.table for key, _ in rows}
        yield from self.facts.look(db, {table: models for table, models in tables.items() if table in used or not rows})
        return estimate_of(self, rows, tables, prices)

    def alerting(self, db: Any, limit: Any, callback: Callback | None) -> Flow[None]:
        """Watch the costs from now on: a flow, which starts the watcher. Raises: ValidationError, ConfigError."""
        from . import watcher  # only where somebody wants alerts

        rule = watcher.Rule.of(limit, callback)
        self.prices_for(db.config)
        begin = partial(self._watching, db, rule, watcher.Watcher)
        yield Awaiting(lambda: begin(is_blocking=True), partial(_there, begin))

    def _watching(self, db: Any, rule: Rule, kind: type[Watcher], *, is_blocking: bool) -> None:
        if is_blocking:
            rule.check_plain()
        with self._alerting:  # of two at once, one is the first
            watcher = self._watcher
            if watcher is None or watcher.db is not db:
                watcher = kind(self, db, before=watcher)
                watcher.join()
                self._watcher = watcher
            watcher.watch(rule, is_blocking=is_blocking)


async def _there(begin: Callable[..., None]) -> None:
    """Begin to watch on the loop of the asyncio face."""
    begin(is_blocking=False)
