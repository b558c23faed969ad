"""What `DB.costs` answers: units, by what one asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct

from dynamorm.errors import ValidationError
from dynamorm.plugin import VERBS

from .ledger import ESTIMATED, MISSING, REPORTED, UNCERTAIN, Key, Ledger
from .times import Times

Tables = Mapping[str, tuple[type[Any], ...]]
"""The models that are stored in each table, as far as they were used."""


class Units(Struct, frozen=True):
    """Read and write units.

    ``uncertain``: what attempts without an answer may have taken besides, both together; it is no part of the other two.

    Example: ``db.costs().units("create").write``
    """

    read: Decimal
    write: Decimal
    uncertain: Decimal


class Book:
    """One of the two ledgers of a `CostReport`."""

    def __init__(self, ledger: Ledger, tables: Tables, column: int) -> None:
        self._ledger = ledger
        self._tables = tables
        self._column = column

    def units(
        self,
        verb: str | None = None,
        model: type[Any] | str | None = None,
        index: str | None = None,
        /,
        **scope: str,
    ) -> Units:
        """The units that fit all that is given; see `CostReport.units`."""
        return _sum(self._ledger, self._tables, self._column, verb, model, index, scope)


class CostReport:
    """What a database has taken since ``since``, in capacity units: two ledgers.

    ``reported`` adds up what the service said that each request has cost (ReturnConsumedCapacity), to the unit. ``estimated``
    is by the formulas of AWS's documents, for what the service says nothing of: refused conditions, cancelled transactions,
    and the engines that tell nothing; with ``CostPlugin(estimate="all")`` for everything, beside the other one.

    A cost is of what was measured: what was before ``since``, and what other processes do, is in neither.

    Example: ``db.costs().units("get", Payment, tenant="t1").read``
    """

    def __init__(self, ledger: Ledger, tables: Tables, times: Times) -> None:
        self._ledger = ledger
        self._tables = tables
        self._times = times
        self.reported: Book = Book(ledger, tables, REPORTED)
        self.estimated: Book = Book(ledger, tables, ESTIMATED)

    @property
    def since(self) -> datetime:
        """When measuring began, by the clock as it is set now: with the plugin, or the last `reset`."""
        return datetime.fromtimestamp(self._ledger.wall_at(self._ledger.since), UTC)

    @property
    def window(self) -> timedelta:
        """How long it has been measured."""
        return timedelta(seconds=max(0.0, self._times.steady() - self._ledger.since))

    def units(
        self,
        verb: str | None = None,
        model: type[Any] | str | None = None,
        index: str | None = None,
        **scope: str,
    ) -> Units:
        """The units of the ledger ``reported`` that fit all that is given; all of them without arguments.

        ``verb`` is the name of a method, as plugins see it (an upsert is ``"update"``); ``model`` a class or its name;
        ``index`` the name of an index, ``""`` for the tables alone; ``scope`` what the view was made with. A transaction or
        a batch is of several models: their units belong to the model whose table it is, where that has only one.

        Raises: ValidationError for what is no verb, model, index or scope, and for a name that seems to be a slip of one that
        was met.

        Example: ``db.costs().units(model=Payment, index="by-merchant").write``
        """
        return _sum(self._ledger, self._tables, REPORTED, verb, model, index, scope)

    def by_model_and_scope(self) -> dict[tuple[str, str], Units]:
        """The units by the name of the model and by scope (``"tenant=t1"``, ``""`` without): all that a request is paid by.

        What the service reported, and what is estimated where it tells nothing. A table that several models share stands
        for them.

        Example: ``db.costs().by_model_and_scope()["Payment", "tenant=t1"].read``
        """
        found: dict[tuple[str, str], list[Decimal]] = {}
        for key, units in self._ledger.rows():
            sums = found.setdefault(place_of(key, self._tables), [Decimal(0)] * 3)
            sums[0] += Decimal(units[REPORTED]) + Decimal(units[MISSING])
            sums[1] += Decimal(units[REPORTED + 1]) + Decimal(units[MISSING + 1])
            sums[2] += Decimal(units[UNCERTAIN]) + Decimal(units[UNCERTAIN + 1])
        return {name: Units(*found[name]) for name in sorted(found)}

    def reset(self) -> None:
        """Begin anew, now. Cost alerts go on with what they know of this month."""
        self._ledger.reset()

    def __repr__(self) -> str:
        units = self.units()
        return f"<CostReport {units.read} read and {units.write} write units in {self.window}>"


def model_of(key: Key, tables: Tables) -> type[Any] | None:
    """Whose units they are: a verb's model, else the only one of the table."""
    if key.model is not None:
        return key.model
    models = tables.get(key.table, ())
    return models[0] if len(models) == 1 else None


def place_of(key: Key, tables: Tables) -> tuple[str, str]:
    """Whose units they are as texts: the model, or the table that several share; and the scope, ``"tenant=t1"``."""
    model = model_of(key, tables)
    name = key.table if model is None else model.__name__
    return name, ", ".join(f"{entry}={value}" for entry, value in key.scope)


_TEXTS: Final = "{} is a text, not {}"


def _sum(
    ledger: Ledger, tables: Tables, column: int, verb: Any, model: Any, index: Any, scope: Mapping[str, Any]
) -> Units:
    for name, value in (("verb", verb), ("index", index), *scope.items()):
        if not isinstance(value, str) and (value is not None or name in scope):
            raise ValidationError(_TEXTS.format(name, type(value).__name__), field=name)
    if model is not None and not isinstance(model, (str, type)):
        raise ValidationError(f"model is a class, or its name, not {type(model).__name__}", field="model")
    rows = ledger.rows()
    _check_names([key for key, _ in rows], tables, verb, model, index, scope)
    read = write = uncertain = Decimal(0)
    for key, units in rows:
        if verb is not None and key.verb != verb:
            continue
        if index is not None and (key.index or "") != index:
            continue
        if model is not None and not _is(model_of(key, tables), model):
            continue
        if scope and not scope.items() <= dict(key.scope).items():
            continue
        read += Decimal(units[column])
        write += Decimal(units[column + 1])
        uncertain += Decimal(units[UNCERTAIN]) + Decimal(units[UNCERTAIN + 1])
    return Units(read, write, uncertain)


def _check_names(keys: list[Key], tables: Tables, verb: Any, model: Any, index: Any, scope: Mapping[str, Any]) -> None:
    """Refuse a slip, which would find nothing: what was not met may still come. Raises: ValidationError."""
    if verb is not None and verb not in VERBS:
        raise _slip("verb", "no verb", verb, VERBS, near=_near(verb, VERBS))
    if isinstance(model, str):
        models = {one.__name__ for of in tables.values() for one in of}
        _check_name("model", "no model that was met", model, models | {key.model.__name__ for key in keys if key.model})
    if index:
        _check_name("index", "no index that was met", index, {key.index for key in keys if key.index})
    entries = {name for key in keys for name, _ in key.scope}
    for name in scope:
        _check_name(name, "no entry of a scope that was met", name, entries)


def _check_name(field: str, what: str, name: str, known: set[str]) -> None:
    if name not in known and (near := _near(name, known)):
        raise _slip(field, what, name, known, near=near)


def _near(name: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(name, list(known), n=1, cutoff=0.75)


def _slip(field: str, what: str, name: str, known: Iterable[str], *, near: list[str]) -> ValidationError:
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return ValidationError(f"{name!r} is {what}: {hint}", field=field)


def _is(found: type[Any] | None, model: type[Any] | str) -> bool:
    return found is not None and (found.__name__ == model if isinstance(model, str) else found is model)
