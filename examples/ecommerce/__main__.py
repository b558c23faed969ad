"""``python -m examples.ecommerce``: a sale on this machine. More customers want the last pieces than there are."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dynamorm import DB, OutcomeUnknown, Presets
from dynamorm.errors import TransactionConflict, Unavailable

from .models import Order, Product
from .shop import Shop, ShopError

_T = TypeVar("_T")

WARES = (
    ("tea", "drinks", "Green tea, 100 g", 450),
    ("coffee", "drinks", "Coffee, 250 g", 690),
    ("cup", "kitchen", "A cup", 990),
    ("kettle", "kitchen", "A kettle", 3490),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the sale. Returns 1 when a piece was sold twice or is missing. Example: ``main(["--customers", "40"])``."""
    parser = argparse.ArgumentParser(prog="python -m examples.ecommerce", description=__doc__)
    parser.add_argument("--customers", type=int, default=40, help="who buy at the same time (default: 40)")
    parser.add_argument("--stock", type=int, default=25, help="pieces of each product (default: 25)")
    parser.add_argument("--lost", type=float, default=0.15, help="the share of replies that are lost (default: 0.15)")
    parser.add_argument("--seed", type=int, default=7, help="of the customers and the losses (default: 7)")
    options = parser.parse_args(arguments)
    with DB(Presets.local_development()) as db:
        shop = Shop(db)
        shop.open()
        shop.stock_up(
            Product(sku=sku, category=category, title=title, cents=cents, stock=options.stock)
            for sku, category, title, cents in WARES
        )
        engine = db.config.engine
        if engine is not None and options.lost:
            engine.faults.lose_reply(share=options.lost, seed=options.seed)
        with ThreadPoolExecutor(8) as threads:
            ends = list(threads.map(lambda number: _customer(shop, number, options.seed), range(options.customers)))
        if engine is not None:
            engine.faults.clear()
        return _told(db, options.stock, ends)


def _customer(shop: Shop, number: int, seed: int) -> str:
    """Fill a cart, order, and pay or change one's mind. How it ended."""
    dice, name = random.Random(f"{seed} {number}"), f"customer-{number}"
    order_number = shop.new_number()
    try:
        for sku, *_ in dice.sample(WARES, 2):
            _persist(shop.put_into_cart, name, sku, dice.randint(1, 3))
        order = _persist(shop.check_out, name, order_number)
        if dice.random() < 0.2:
            _persist(shop.cancel, order)
            return "cancelled"
        _persist(shop.pay, order)
    except ShopError as error:
        return "sold out" if "sold out" in str(error) else f"refused: {error}"
    return "paid"


def _persist(work: Callable[..., _T], *arguments: Any) -> _T:
    """Do it again while nobody can tell, or others are in the way: each work of the shop may be asked for twice."""
    for _ in range(20):
        try:
            return work(*arguments)
        except (OutcomeUnknown, TransactionConflict, Unavailable):
            continue
    return work(*arguments)


def _told(db: DB, stock: int, ends: list[str]) -> int:
    sold: Counter[str] = Counter()
    orders = db.model(Order).allow_scan().all()
    for order in orders:
        if order.status != "cancelled":
            sold.update({line.sku: line.quantity for line in order.lines})
    wrong = 0
    print(f"{'product':10} {'stock':>6} {'sold':>6} {'left':>6}")
    for sku, *_ in WARES:
        left = db.require(Product, sku=sku).stock
        wrong += sold[sku] + left != stock
        print(f"{sku:10} {stock:6} {sold[sku]:6} {left:6}")
    print(
        ", ".join(f"{count} {end}" for end, count in Counter(ends).most_common()),
        f"of {len(ends)} customers;",
        len(orders),
        "orders",
    )
    print("every piece is accounted for" if not wrong else f"{wrong} products do not add up")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
