"""What items of older schema versions cost a reader: a scan of items of three stored versions, and of as many of the newest one.

``python -m benchmarks.upgrades`` reads 1,000,000 items of each, in turns, and prints the processor time per item: the median of the
rounds, the lowest and the highest, and how much more the mixed table takes. The network is replaced: each request is given its
page at once, which makes the difference larger than it is beside a service. Three models are read: the payment of the other benchmarks, of which one
attribute had another name and one was missing; the same, whose amount was another number, which its function computes with decimals; and one of six
attributes, where the functions weigh most. What the functions themselves take is part of the figures.
"""

from __future__ import annotations

import argparse
import gc
import json
from datetime import datetime
from decimal import Decimal
from statistics import median
from time import process_time
from typing import Any

from benchmarks import sample
from benchmarks.calls import Scripted
from benchmarks.payload import wire_item
from dynamorm import DB, Attr, Model, Presets, partition_key, sort_key, upgrade, version
from dynamorm.testing import reply

PAGE = 1000
ITEMS = 1_000_000
ROUNDS = 5


class Payment(Model, table="payments", schema_version=3):
    """The payment of the other benchmarks, of which two attributes had other forms."""

    merchant_id: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    idempotency_key: Attr[str]
    amount: Attr[int]
    currency: Attr[str]
    status: Attr[str]
    created_at: Attr[datetime]
    version: Attr[int] = version()
    tags: Attr[list[str]]
    metadata: Attr[dict[str, str]]

    @staticmethod
    @upgrade(1, attributes=("state", "status"))
    def to_status(item: dict[str, Any]) -> None:
        """The attribute had another name."""
        item["status"] = item.pop("state")

    @staticmethod
    @upgrade(2, attributes=("currency",))
    def with_currency(item: dict[str, Any]) -> None:
        """There was one currency."""
        item["currency"] = "EUR"


class Amounts(Model, table="amounts", schema_version=3):
    """The same payment, of which the amount was stored in major units: a function that computes with decimals."""

    merchant_id: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    idempotency_key: Attr[str]
    amount: Attr[int]
    currency: Attr[str]
    status: Attr[str]
    created_at: Attr[datetime]
    version: Attr[int] = version()
    tags: Attr[list[str]]
    metadata: Attr[dict[str, str]]

    @staticmethod
    @upgrade(1, attributes=("state", "status"))
    def to_status(item: dict[str, Any]) -> None:
        """As above."""
        item["status"] = item.pop("state")

    @staticmethod
    @upgrade(2, attributes=("amount",))
    def to_minor_units(item: dict[str, Any]) -> None:
        """The amount was stored in major units."""
        item["amount"] = int(item["amount"] * 100)


class Small(Model, table="small", schema_version=3):
    """Six attributes, all of them texts and numbers."""

    merchant_id: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    amount: Attr[int]
    status: Attr[str]
    currency: Attr[str]
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("state", "status"))
    def to_status(item: dict[str, Any]) -> None:
        """As of a payment."""
        item["status"] = item.pop("state")

    @staticmethod
    @upgrade(2, attributes=("currency",))
    def with_currency(item: dict[str, Any]) -> None:
        """As of a payment."""
        item["currency"] = "EUR"


class Plain(Model, table="plain"):
    """The payment without a schema version."""

    merchant_id: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    idempotency_key: Attr[str]
    amount: Attr[int]
    currency: Attr[str]
    status: Attr[str]
    created_at: Attr[datetime]
    version: Attr[int] = version()
    tags: Attr[list[str]]
    metadata: Attr[dict[str, str]]


class Paged(Scripted):
    """A driver that answers the requests of a scan with pages, one after the other."""

    def __init__(self, pages: list[Any]) -> None:
        self._pages = pages
        self._at = -1

    @property
    def answer(self) -> Any:  # type: ignore[override]
        """The next page."""
        self._at = (self._at + 1) % len(self._pages)
        return self._pages[self._at]


def stored(model: type[Model], number: int, form: int | None) -> dict[str, Any]:
    """An item as a program of this schema version stored it; None: as one without versions does."""
    names = ("merchant_id", "id", "amount", "status", "currency", "version") if model is Small else None
    values = {name: value for name, value in sample.payment(number).items() if names is None or name in names}
    item = wire_item({**values, "_wt": bytes(range(1, 33))}, "nanos")
    if form is None:
        return item
    if form < 3:
        if model is Amounts:
            item["amount"] = {"N": str(Decimal(values["amount"]) / 100)}
        else:
            del item["currency"]
    if form < 2:
        item["state"] = item.pop("status")
    else:
        item["_sv"] = {"N": str(form)}
    return item


def pages(model: type[Model], forms: tuple[int | None, ...], items: int) -> list[Any]:
    """The pages of a scan: those of ten different thousands of items, in turns."""
    count = items // PAGE
    kinds = []
    for at in range(min(10, count)):
        rows = [stored(model, number, forms[number % len(forms)]) for number in range(at * PAGE, (at + 1) * PAGE)]
        kinds.append({"Count": PAGE, "Items": rows, "ScannedCount": PAGE})
    last = {name: kinds[0]["Items"][-1][name] for name in ("merchant_id", "id")}
    going_on = [reply({**page, "LastEvaluatedKey": last}) for page in kinds]
    return [*(going_on[at % len(kinds)] for at in range(count - 1)), reply(kinds[(count - 1) % len(kinds)])]


def read(model: type[Model], answers: list[Any], items: int) -> float:
    """The processor time of a scan, in microseconds for each item."""
    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"))
    db._io = Paged(answers)  # type: ignore[assignment]  # noqa: SLF001 - the network is replaced
    gc.collect()
    begun = process_time()
    count = sum(1 for _ in db.model(model).allow_scan())
    spent = process_time() - begun
    if count != items:
        raise RuntimeError(f"read {count} of {items} items")
    return spent / items * 1e6


def measure(model: type[Model], items: int, rounds: int) -> dict[str, list[float]]:
    """The rounds of the newest version and of all three, in turns."""
    tables = {"newest": pages(model, (3,), items), "three versions": pages(model, (3, 1, 2), items)}
    if model is Payment:
        tables["without versions"] = pages(Plain, (None,), items)
    found: dict[str, list[float]] = {name: [] for name in tables}
    for turn in range(rounds):
        for name in sorted(tables, reverse=turn % 2 == 1):
            found[name].append(read(Plain if name == "without versions" else model, tables[name], items))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for model in (Payment, Amounts, Small):
        rounds = measure(model, options.items, options.rounds)
        ratio = median(rounds["three versions"]) / median(rounds["newest"])
        figures[model.__name__] = {**rounds, "ratio": ratio}
        if not options.json:
            print(f"{model.__name__}: {options.items:,} items, {options.rounds} rounds, processor time per item")
            for name, times in rounds.items():
                print(f"  {name:16} {median(times):6.2f} us ({min(times):.2f} to {max(times):.2f})")
            print(f"  three versions take {ratio - 1:+.1%}")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
