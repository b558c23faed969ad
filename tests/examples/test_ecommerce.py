"""The shop of examples/ecommerce: nothing is sold twice, nothing is lost, and what cannot be bought is told so."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import OutcomeUnknown, ValidationError
from dynamorm.errors import AlreadyExists, TamperedCursor, TransactionConflict
from dynamorm.testing import TestDB
from examples.ecommerce.__main__ import main
from examples.ecommerce.models import CartLine, Order, Product
from examples.ecommerce.shop import MOST_LINES, RESERVED, Shop, ShopError

pytestmark = [pytest.mark.engine, pytest.mark.whole]


@pytest.fixture
def db():
    with TestDB(models=[Product]) as db:
        yield db


@pytest.fixture
def shop(db):
    shop = Shop(db)
    shop.open()
    shop.stock_up(
        [
            Product(sku="tea", category="drinks", title="Tea", cents=450, stock=10),
            Product(sku="coffee", category="drinks", title="Coffee", cents=690, stock=2),
            Product(sku="cup", category="kitchen", title="A cup", cents=990, stock=1),
        ]
    )
    return shop


def left(db, sku):
    return db.require(Product, sku=sku, consistent=True).stock


def test_a_category_is_listed_by_price_page_by_page(shop):
    first = shop.browse("drinks", size=1)
    assert [product.sku for product in first.items] == ["tea"]
    second = shop.browse("drinks", size=1, cursor=first.cursor)
    assert [product.sku for product in second.items] == ["coffee"]
    assert [product.sku for product in shop.browse("drinks", below=500).items] == ["tea"]
    with pytest.raises(TamperedCursor):
        shop.browse("kitchen", cursor=first.cursor)


def test_an_order_reserves_its_stock_and_empties_the_cart(shop, db):
    shop.put_into_cart("ann", "tea", 2)
    shop.put_into_cart("ann", "cup")
    order = shop.check_out("ann", "n1")
    assert (order.cents, order.status) == (1890, "placed")
    assert shop.cart("ann") == []
    assert (left(db, "tea"), left(db, "cup")) == (8, 0)
    assert shop.orders("ann") == [order]


def test_a_checkout_that_is_sent_twice_is_one_order(shop, db):
    shop.put_into_cart("ann", "tea", 2)
    first = shop.check_out("ann", "n1")
    shop.put_into_cart("ann", "tea", 3)
    assert shop.check_out("ann", "n1") == first
    assert left(db, "tea") == 8
    assert [line.quantity for line in shop.cart("ann")] == [3]


def test_checkouts_at_once_with_one_number_are_one_order(shop, db):
    shop.put_into_cart("ann", "tea", 2)

    def check_out(_):
        for _ in range(20):
            try:
                return shop.check_out("ann", "n1").number
            except (ShopError, TransactionConflict):
                continue  # the other one has just emptied the cart
        return None

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(check_out, range(8))) == {"n1"}
    assert left(db, "tea") == 8
    assert len(shop.orders("ann")) == 1


@pytest.mark.parametrize("quantity", [2, 5])
def test_what_is_sold_out_leaves_everything_as_it_was(shop, db, quantity):
    shop.put_into_cart("ann", "tea", 2)
    shop.put_into_cart("ann", "cup", quantity)
    with pytest.raises(ShopError, match="cup is sold out: 1 left"):
        shop.check_out("ann", "n1")
    assert (left(db, "tea"), left(db, "cup"), len(shop.cart("ann"))) == (10, 1, 2)
    assert shop.orders("ann") == []


def test_a_price_that_changes_while_the_order_is_written_is_told(shop, db, monkeypatch):
    shop.put_into_cart("ann", "tea")
    read = db.batch_get

    def and_it_changes(*given):
        found = read(*given)
        db.update(Product, Product.cents.set(500), sku="tea")
        return found

    monkeypatch.setattr(db, "batch_get", and_it_changes)
    with pytest.raises(ShopError, match="price of tea has changed"):
        shop.check_out("ann", "n1")
    monkeypatch.undo()
    assert shop.check_out("ann", "n1").cents == 500


def test_the_last_piece_is_bought_once(shop, db):
    for number in range(8):
        shop.put_into_cart(f"c{number}", "cup")

    def buy(number):
        for _ in range(20):
            try:
                return shop.check_out(f"c{number}", "n1") is not None
            except TransactionConflict:
                continue
            except ShopError:
                return False
        return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(buy, range(8))) == 1
    assert left(db, "cup") == 0


def test_stock_comes_back_once_when_an_order_is_cancelled(shop, db):
    shop.put_into_cart("ann", "tea", 2)
    order = shop.check_out("ann", "n1")
    again = db.require(Order, customer="ann", number="n1")
    shop.cancel(order)
    shop.cancel(again)  # somebody else's look at it
    assert left(db, "tea") == 10
    with pytest.raises(ShopError, match="n1 is cancelled: it does not become paid"):
        shop.pay(again)


@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_paid_order_is_cancelled_by_whatever_copy(shop, db, is_fresh):
    shop.put_into_cart("ann", "tea", 2)
    order = shop.check_out("ann", "n1")
    stale = db.require(Order, customer="ann", number="n1", consistent=True)
    shop.pay(order)
    shop.cancel(order if is_fresh else stale)
    shop.cancel(stale)
    assert db.require(Order, customer="ann", number="n1", consistent=True).status == "cancelled"
    assert left(db, "tea") == 10


def test_an_old_copy_of_an_order_on_its_way_does_not_cancel_it(shop, db):
    shop.put_into_cart("ann", "tea", 2)
    order = shop.check_out("ann", "n1")
    stale = db.require(Order, customer="ann", number="n1", consistent=True)
    shop.pay(order)
    shop.ship(order)
    with pytest.raises(ShopError, match="n1 is shipped: it cannot be cancelled"):
        shop.cancel(stale)
    assert left(db, "tea") == 8


def test_an_order_that_is_paid_for_in_this_moment_is_not_released(shop, db, monkeypatch):
    shop.put_into_cart("ann", "tea", 2)
    order, cancel = shop.check_out("ann", "n1"), shop.cancel

    def paid_before(found, **given):
        shop.pay(order)
        cancel(found, **given)

    monkeypatch.setattr(shop, "cancel", paid_before)
    assert shop.release_unpaid(datetime.now(UTC) + RESERVED + timedelta(seconds=1)) == 0
    assert db.require(Order, customer="ann", number="n1", consistent=True).status == "paid"
    assert left(db, "tea") == 8


def test_a_line_that_is_over_is_not_in_the_cart(shop, db):
    over = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    db.put(CartLine(customer="ann", sku="tea", quantity=2, expires_at=over))
    assert shop.cart("ann") == []
    with pytest.raises(ShopError, match="the cart is empty"):
        shop.check_out("ann", "n1")
    shop.put_into_cart("ann", "cup")
    assert [line.sku for line in shop.check_out("ann", "n2").lines] == ["cup"]


def test_what_is_on_its_way_is_not_cancelled(shop, db):
    shop.put_into_cart("ann", "tea")
    order = shop.check_out("ann", "n1")
    with pytest.raises(ShopError, match="n1 is placed: it does not become shipped"):
        shop.ship(order)
    shop.pay(order)
    shop.pay(order)
    shop.ship(order)
    with pytest.raises(ShopError, match="n1 is shipped: it cannot be cancelled"):
        shop.cancel(order)
    assert left(db, "tea") == 9


def test_unpaid_orders_give_their_stock_back_in_time(shop, db):
    shop.put_into_cart("ann", "tea", 2)
    shop.put_into_cart("bob", "tea", 3)
    shop.check_out("ann", "n1")
    shop.pay(shop.check_out("bob", "n2"))
    assert shop.release_unpaid() == 0
    later = datetime.now(UTC) + RESERVED + timedelta(seconds=1)
    assert shop.release_unpaid(later) == 1
    assert shop.release_unpaid(later) == 0
    assert left(db, "tea") == 7


def test_a_checkout_whose_reply_is_lost_is_asked_for_again(shop, db):
    if not hasattr(db.engine, "faults"):
        pytest.skip("this engine loses nothing")
    shop.put_into_cart("ann", "tea", 2)
    with db.engine.faults.lose_reply(op="TransactWriteItems", share=0.7, seed=3):
        for _ in range(30):
            try:
                shop.check_out("ann", "n1")
                break
            except OutcomeUnknown:
                continue
    assert left(db, "tea") == 8
    assert len(shop.orders("ann")) == 1


@pytest.mark.parametrize(
    ("sku", "quantity", "told"),
    [("gone", 1, "no product 'gone'"), ("tea", 100, "quantity"), ("tea", -1, "quantity")],
)
def test_what_a_cart_does_not_take(shop, sku, quantity, told):
    with pytest.raises((ShopError, ValidationError), match=told):
        shop.put_into_cart("ann", sku, quantity)
    assert shop.cart("ann") == []


def test_a_cart_is_no_longer_than_an_order_can_be(shop):
    shop.stock_up(Product(sku=f"p{n}", category="many", title="P", cents=1, stock=1) for n in range(MOST_LINES + 1))
    for number in range(MOST_LINES):
        shop.put_into_cart("ann", f"p{number}")
    with pytest.raises(ShopError, match=f"at most {MOST_LINES} lines"):
        shop.put_into_cart("ann", f"p{MOST_LINES}")
    shop.put_into_cart("ann", "p0", 0)
    shop.put_into_cart("ann", f"p{MOST_LINES}")
    assert len(shop.check_out("ann", "n1").lines) == MOST_LINES


def test_other_edges(shop):
    with pytest.raises(ShopError, match="the cart is empty"):
        shop.check_out("ann", "n1")
    with pytest.raises(AlreadyExists):
        shop.stock_up([Product(sku="tea", category="x", title="x", cents=1)])
    shop.put_into_cart("ann", "tea")
    (line,) = shop.cart("ann")
    assert isinstance(line, CartLine)
    assert line.expires_at > datetime.now(UTC)


def test_the_sale_adds_up(capsys):
    assert main(["--customers", "30"]) == 0
    assert "every piece is accounted for" in capsys.readouterr().out
