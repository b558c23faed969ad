"""Explaining and dry runs: operations that end where they would have sent something. It sends nothing itself.

An operation runs as always, on a view of the context whose ``call`` writes down the request and stops there. So what
is shown is what would be sent, and every check that comes before sending has been made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from dynamorm.capacity import Capacity, capacity_of
from dynamorm.effects import Flow, Gather
from dynamorm.models.schema.schema import Schema
from dynamorm.wire.redaction import redacted

from .op import Op, Safety

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


class PlannedRequest(Struct, frozen=True, kw_only=True):
    """One request that would be sent: ``operation`` (``"PutItem"``), ``table``, ``body``, what it costs, and why it is made so.

    ``body`` is DynamoDB's JSON, with ``"?"`` for every value unless values were asked for. ``notes`` are what plugins say of
    the request, such as its price.
    """

    operation: str
    table: str
    body: dict[str, Any]
    capacity: Capacity | None = None
    why: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.operation} on {self.table}"]
        if self.why:
            lines.append(f"  because   {self.why}")
        if self.capacity is not None:
            lines.append(f"  capacity  {self.capacity}")
        lines += [f"  note      {note}" for note in self.notes]
        lines += [f"  {name:<26} {_text(value)}" for name, value in self.body.items() if name != "TableName"]
        return "\n".join(lines)


class Explain(Struct, frozen=True):
    """What an operation would send. ``requests`` is in order; it is empty when nothing needs to be sent.

    An operation that depends on an answer is explained up to there: of a query, the first page.

    Example: ``print(db.explain(lambda db: db.update(payment, Payment.amount.add(5))))``
    """

    requests: tuple[PlannedRequest, ...]

    @property
    def request(self) -> dict[str, Any]:
        """The body of the first request, empty when there is none."""
        return self.requests[0].body if self.requests else {}

    @property
    def operation(self) -> str | None:
        """The first request's operation, e.g. ``"Query"``."""
        return self.requests[0].operation if self.requests else None

    @property
    def why(self) -> str | None:
        """Why the first request goes where it goes: the table or index that was chosen, and the reason."""
        return self.requests[0].why if self.requests else None

    @property
    def capacity(self) -> Capacity | None:
        """What the requests cost together, None when nothing is known of it."""
        capacities = [request.capacity for request in self.requests if request.capacity is not None]
        if len(capacities) < 2:
            return capacities[0] if capacities else None
        mosts = [capacity.most for capacity in capacities if capacity.most is not None]
        return Capacity(
            kind=capacities[0].kind,
            least=sum(capacity.least for capacity in capacities),
            most=sum(mosts) if len(mosts) == len(capacities) else None,
            why=f"{len(capacities)} requests",
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.requests)) or "nothing would be sent"


class Planned(BaseException):
    """Ends an operation. Nothing in between may take it for a failure, hence no `Exception`."""


class Recorder:
    """Takes the place of a context's ``call``. With ``reading`` it lets reads through, and stops only at writes."""

    def __init__(self, context: Context, *, reading: bool, values: bool) -> None:
        self._context = context
        self._reading = reading
        self._values = values
        self.requests: list[PlannedRequest] = []

    def call(self, op: Op) -> Flow[Any]:
        """Write down what the call would send."""
        if self._reading and op.safety is Safety.READ:
            return self._context.call(op)
        return self._stop(op)

    def _stop(self, op: Op) -> Flow[Any]:
        body = msgspec.json.decode(op.body)
        request = PlannedRequest(
            operation=op.name,
            table=op.table,
            body=body if self._values else redacted(body),
            capacity=capacity_of(op.name, body, self._schemas),
            why=op.why,
        )
        if self._context.notes:
            config = self._context.config
            said = tuple(note for of in self._context.notes if (note := of(request, config)) is not None)
            request = msgspec.structs.replace(request, notes=said)
        self.requests.append(request)
        raise Planned
        yield

    def _schemas(self, table: str) -> Iterable[Schema]:
        return self._context.schemas(table)

    def view(self) -> Context:
        """The context on which operations are written down."""
        return self._context.view(self.call)


_STOPPED: Final = object()


def stopping(flow: Flow[Any]) -> Flow[Any]:
    """Drive a flow of a recording context. Its result, or None when it was stopped."""
    result = yield from _guarded(flow)
    return None if result is _STOPPED else result


def _guarded(flow: Flow[Any]) -> Flow[Any]:
    try:
        return (yield from _intercepted(flow))
    except Planned:
        return _STOPPED


def _intercepted(flow: Flow[Any]) -> Flow[Any]:
    """Pass a flow's effects on; of flows that run side by side each is stopped for itself, so that none is left out."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            return stop.value
        value = error = None
        try:
            if effect.__class__ is not Gather:
                value = yield effect
                continue
            # With a width of 1, so that requests are shown in order.
            value = yield Gather([_guarded(parallel) for parallel in effect.flows], 1)
        except BaseException as failed:  # noqa: BLE001 - the flow decides, as with any driver
            error = failed
        else:
            if any(result is _STOPPED for result in value):
                error = Planned()


def explained(context: Context, make: Callable[[Context], Flow[Any]], *, values: bool = False) -> Flow[Explain]:
    """What the flow that ``make`` builds on a context would send."""
    recorder = Recorder(context, reading=False, values=values)
    with suppress(Planned):  # some requests are made before the flow begins
        yield from stopping(make(recorder.view()))
    return Explain(tuple(recorder.requests))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
