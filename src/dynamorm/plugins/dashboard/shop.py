"""The made-up shop of ``python -m dynamorm.dashboard --demo``: some twenty verbs a second, of two tenants and one hot key."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import Final

from dynamorm import DB, Attr, DynamORMError, Model, attr, partition_key, sort_key, version

PAUSE: Final = 0.05
"""Seconds between two verbs."""
CUSTOMERS: Final = 40


class Payment(Model, table="dashboard-demo-payments"):
    """What somebody has paid."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="dashboard-demo-orders"):
    """What somebody has ordered."""

    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    total: Attr[int] = attr(default=0)


def run(db: DB, ended: threading.Event) -> None:
    """Ask for one thing after the other until the event is set."""
    db.tables.ensure(Payment, Order)
    dice = random.Random()  # noqa: S311 - a demo has no secrets
    tenants = [db.view(tenant=name) for name in ("blue", "green")]
    number = 0
    while not ended.wait(PAUSE):
        number += 1
        with suppress(DynamORMError):  # what is refused is a part of the picture
            one_verb(dice.choice(tenants), dice, number)


def one_verb(db: DB, dice: random.Random, number: int) -> None:
    """One verb of the shop, by chance. A part of them is refused, as in life."""
    customer = "c0" if dice.random() < 0.3 else f"c{dice.randrange(CUSTOMERS)}"
    lot = dice.random()
    if lot < 0.35:
        db.get(Payment, f"p{dice.randrange(200)}")
    elif lot < 0.55:
        db.put(Order(customer=customer, number=number, total=dice.randrange(10_000)))
    elif lot < 0.75:
        db.model(Order).where(Order.customer == customer).limit(20).all()
    elif lot < 0.95:
        db.create(Payment(id=f"p{dice.randrange(200)}", amount=dice.randrange(10_000)))
    else:
        with db.transaction() as tx:
            tx.put(Order(customer=customer, number=number))
            tx.put(Payment(id=f"t{number % 500}"))
