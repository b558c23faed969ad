"""What can be done in the shop. Each change is one request or one transaction, and may be asked for again after a failure."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from dynamorm import DB, Page, TransactionCancelled, VersionConflict
from dynamorm.errors import AlreadyExists, ConditionFailed, MissingItem, OutOfBounds

from .models import CartLine, Line, Order, Product

MOST_LINES = 30
"""Lines of a cart. An order takes two operations of a transaction for each, and one of its own; DynamoDB takes 100.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

RESERVED = timedelta(minutes=15)
"""How long an order that is not paid keeps its stock."""

KEPT = timedelta(days=30)
"""How long a cart is kept."""


class ShopError(Exception):
    """What a customer can be told."""


class Shop:
    """The shop on a database.

    Example::

        with DB(Presets.local_development()) as db:
            shop = Shop(db)
            shop.open()
            shop.stock_up([Product(sku="tea", category="drinks", title="Tea", cents=450, stock=10)])
            shop.put_into_cart("ann", "tea", 2)
            order = shop.check_out("ann", shop.new_number())
    """

    def __init__(self, db: DB) -> None:
        self._db = db

    def open(self) -> None:
        """Make the table, or find it as it should be."""
        self._db.tables.ensure(Product)

    # -------------------------------------------------------------------------------------------------------- catalogue

    def stock_up(self, products: Iterable[Product]) -> None:
        """Add products to the catalogue. Raises: AlreadyExists for a ``sku`` that is there."""
        for product in products:
            self._db.create(product)

    def browse(
        self, category: str, *, size: int = 20, cursor: str | None = None, below: int | None = None
    ) -> Page[Product]:
        """A page of a category, the cheapest first. ``below``: of what costs less, in cents.

        Raises: TamperedCursor for a cursor that this shop has not given out.
        """
        query = self._db.model(Product).where(Product.category == category)
        if below is not None:
            query = query.where(Product.cents < below)
        query = query.limit(size)
        return (query if cursor is None else query.cursor(cursor)).page()

    # ------------------------------------------------------------------------------------------------------------- cart

    def put_into_cart(self, customer: str, sku: str, quantity: int = 1) -> None:
        """Set how many pieces of a product are in a cart; 0 takes it out. To do it twice is to do it once."""
        if quantity == 0:
            self._db.delete(CartLine, customer=customer, sku=sku)
            return
        if not self._db.exists(Product, sku=sku):
            raise ShopError(f"there is no product {sku!r}")
        others = [line for line in self.cart(customer) if line.sku != sku]
        if len(others) >= MOST_LINES:
            raise ShopError(f"a cart has at most {MOST_LINES} lines: order what is in it first")
        line = CartLine(customer=customer, sku=sku, quantity=quantity, expires_at=datetime.now(UTC) + KEPT)
        self._db.put(line)

    def cart(self, customer: str) -> list[CartLine]:
        """The lines of a cart, without those that are over, be they deleted yet or not."""
        lines = self._db.model(CartLine).where(CartLine.customer == customer).consistent()
        now = datetime.now(UTC)
        return [line for line in lines if line.expires_at is None or line.expires_at > now]

    # ----------------------------------------------------------------------------------------------------------- orders

    @staticmethod
    def new_number(at: datetime | None = None) -> str:
        """The number of a checkout. The page of the checkout carries it, so that sending it twice orders once."""
        return f"{at or datetime.now(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(4)}"

    def check_out(self, customer: str, number: str) -> Order:
        """Order what is in the cart: the stock is reserved, the cart emptied and the order written, or nothing of it.

        The same number gives the same order, however often and from wherever it is asked for.

        Raises: ShopError when something is sold out, has another price than was read, or the cart is empty or changes;
            OutcomeUnknown when nobody can tell: ask again, with the same number.
        """
        if found := self._db.get(Order, customer=customer, number=number, consistent=True):
            return found
        cart = self.cart(customer)
        if not cart:
            raise ShopError("the cart is empty")
        products = self._db.batch_get(Product, [{"sku": line.sku} for line in cart])
        order = Order(customer=customer, number=number, lines=list(map(_line, cart, products)))
        try:
            with self._db.transaction() as tx:
                tx.create(order, label="order")
                for line, ordered in zip(cart, order.lines, strict=True):
                    tx.update(
                        Product,
                        Product.stock.add(-line.quantity),
                        sku=line.sku,
                        condition=Product.cents == ordered.cents,
                        label=f"reserve {line.sku}",
                    )
                    tx.delete(line, must_exist=True, condition=CartLine.quantity == line.quantity, label="cart")
        except TransactionCancelled as error:
            if isinstance(error.reasons[0].error if error.reasons[0] else None, AlreadyExists):
                return self._db.require(Order, customer=customer, number=number, consistent=True)
            raise _told(error, order) from None
        return order

    def pay(self, order: Order) -> None:
        """The order is paid for, and keeps its stock. Raises: ShopError when it was cancelled meanwhile."""
        self._becomes(order, "paid", ("placed",))

    def ship(self, order: Order) -> None:
        """The order is on its way. Raises: ShopError for one that is not paid for."""
        self._becomes(order, "shipped", ("paid",))

    def cancel(self, order: Order, *, only: tuple[str, ...] = ("placed", "paid")) -> None:
        """Cancel an order that is in one of these states, and give its stock back. Raises: ShopError for one that is in another.

        What is stored counts: of an order that has changed since it was read, the new state is looked at.
        """
        while order.status != "cancelled":
            if order.status not in only:
                raise ShopError(f"order {order.number} is {order.status}: it cannot be cancelled")
            try:
                with self._db.transaction() as tx:
                    tx.update(order, Order.status.set("cancelled"), label="order")  # of this version, or not at all
                    for line in order.lines:
                        tx.update(
                            Product, Product.stock.add(line.quantity), sku=line.sku, label=f"give back {line.sku}"
                        )
            except TransactionCancelled:
                fresh = self._db.require(Order, customer=order.customer, number=order.number, consistent=True)
                if fresh.version == order.version:
                    raise
                order = fresh
            else:
                return

    def orders(self, customer: str) -> list[Order]:
        """The orders of a customer, the newest first."""
        return self._db.model(Order).where(Order.customer == customer).order_by(Order.sk, "desc").all()

    def release_unpaid(self, now: datetime | None = None) -> int:
        """Cancel orders that have kept their stock for too long without being paid for. How many those were."""
        cancelled = 0
        late = (now or datetime.now(UTC)) - RESERVED
        for order in self._db.model(Order).where(Order.status == "placed", Order.created_at < late):
            try:
                self.cancel(order, only=("placed",))
            except ShopError:  # it was paid for in this moment
                continue
            cancelled += 1
        return cancelled

    def _becomes(self, order: Order, status: str, before: tuple[str, ...]) -> None:
        if order.status == status:
            return
        try:
            self._db.update(order, Order.status.set(status), condition=Order.status.in_(list(before)))
        except (ConditionFailed, VersionConflict, MissingItem):
            fresh = self._db.get(Order, customer=order.customer, number=order.number, consistent=True)
            if fresh is None or fresh.status != status:
                known = "not there" if fresh is None else fresh.status
                raise ShopError(f"order {order.number} is {known}: it does not become {status}") from None


def _line(line: CartLine, product: Product | None) -> Line:
    if product is None:
        raise ShopError(f"{line.sku} is not sold any more: take it out of the cart")
    return Line(sku=line.sku, title=product.title, cents=product.cents, quantity=line.quantity)


def _told(error: TransactionCancelled, order: Order) -> Exception:
    """What a customer is told of a checkout that was refused; the error itself when that says more."""
    for reason in error.reasons:
        if reason is None or reason.label is None:
            continue
        if reason.label.startswith("reserve "):
            sku = reason.label.removeprefix("reserve ")
            if isinstance(reason.error, OutOfBounds):
                left = getattr(reason.item, "stock", 0)
                return ShopError(f"{sku} is sold out: {left} left")
            return ShopError(f"the price of {sku} has changed: look at the cart again")
        if reason.label == "cart":
            return ShopError(f"the cart of {order.customer} has changed: look at it again")
    return error
