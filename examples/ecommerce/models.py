"""What the shop stores: four classes in one table, and one index that lists products by price and orders by age."""

from __future__ import annotations

from datetime import datetime

from dynamorm import Attr, Model, attr, composite, created_at, gsi, partition_key, sort_key, ttl, version


class Entity(Model, table="shop", discriminator="kind"):
    """Any item of the table. What has no ``listed_under`` is not in the index."""

    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()
    listed_under: Attr[str | None] = attr(default=None)
    listed_by: Attr[str | None] = attr(default=None)
    listing = gsi("listing", partition="listed_under", sort="listed_by")


class Product(Entity):
    """Something to buy. ``stock`` is what nobody has reserved; it never falls below 0."""

    pk: Attr[str] = partition_key(composite("PRODUCT#{sku}"))
    sk: Attr[str] = sort_key(composite("PRODUCT#"))
    listed_under: Attr[str | None] = attr(composite("CATEGORY#{category}"), init=False)
    listed_by: Attr[str | None] = attr(composite("{cents:010d}#{sku}"), init=False)
    sku: Attr[str] = attr(pattern=r"[a-z0-9-]{1,40}")
    category: Attr[str]
    title: Attr[str]
    cents: Attr[int] = attr(ge=0, le=9_999_999_999)
    stock: Attr[int] = attr(default=0, ge=0)


class CartLine(Entity):
    """So many pieces of a product in a customer's cart. A cart that nobody touches is forgotten after 30 days."""

    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer}"))
    sk: Attr[str] = sort_key(composite("CART#{sku}"))
    customer: Attr[str]
    sku: Attr[str]
    quantity: Attr[int] = attr(ge=1, le=99)
    expires_at: Attr[datetime | None] = ttl(default=None)


class Line(Model):
    """A line of an order: the price is that of the moment of the order."""

    sku: Attr[str]
    title: Attr[str]
    cents: Attr[int]
    quantity: Attr[int]


class Order(Entity):
    """An order. ``number`` is made by whoever begins the checkout, so that a checkout that is asked for twice is one order.

    Status: ``placed`` (its stock is reserved), then ``paid`` and ``shipped``, or ``cancelled``.
    """

    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer}"))
    sk: Attr[str] = sort_key(composite("ORDER#{number}"))
    listed_under: Attr[str | None] = attr(composite("ORDERS#{status}"), init=False)
    listed_by: Attr[str | None] = attr(composite("created_at"), init=False)
    customer: Attr[str]
    number: Attr[str]
    status: Attr[str] = attr(default="placed")
    lines: Attr[list[Line]]
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()

    @property
    def cents(self) -> int:
        """What it costs."""
        return sum(line.cents * line.quantity for line in self.lines)
