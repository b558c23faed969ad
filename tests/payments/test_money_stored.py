"""`Money` in tables, as a map and as two attributes, on both faces."""

import pytest

from dynamorm import DB, Attr, Mixin, Model, Presets, attr, gsi, partition_key, version
from dynamorm.errors import ConditionFailed, CurrencyMismatch, ModelError, TransactionCancelled, ValidationError
from dynamorm.payments import Money, two_attributes

EUR, USD = "EUR", "USD"


class Sale(Model, table="sales"):
    id: Attr[str] = partition_key()
    price: Attr[Money]
    tip: Attr[Money | None] = attr(default=None)
    lines: Attr[list[Money]] = attr(default_factory=list)
    by_day: Attr[dict[str, Money]] = attr(default_factory=dict)
    version: Attr[int] = version()


class Raw(Model, table="sales"):
    id: Attr[str] = partition_key()
    price: Attr[dict]


class Split(Model, table="split"):
    id: Attr[str] = partition_key()
    shop: Attr[str]
    amount: Attr[int]
    currency: Attr[str]
    price = two_attributes("amount", "currency")
    by_amount = gsi("by-amount", partition="shop", sort="amount")


class Stated(Model, table="stated"):
    id: Attr[str] = partition_key()
    price: Attr[Money] = attr(money="amount,currency")
    tip: Attr[Money | None] = attr(money="tip_amount, tip_currency", default=None)
    by_amount = gsi("by-amount", partition="currency", sort="amount")


MODELS = (Sale, Split, Stated)
pytestmark = pytest.mark.engine


def test_money_comes_back_as_it_was(db, key):
    sale = Sale(
        id=key,
        price=Money("12.50", EUR),
        lines=[Money("1", "JPY"), Money("-1.234", "KWD")],
        by_day={"mon": Money("0", "CLF")},
    )
    db.create(sale)
    assert db.get(Sale, key) == sale
    assert db.get(Raw, key).price == {"a": 1250, "c": EUR, "e": 2}


def test_save_writes_what_changed(db, key):
    sale = db.create(Sale(id=key, price=Money("1", EUR)))
    sale.price += Money("0.50", EUR)
    sale.tip = Money("1", EUR)
    db.save(sale)
    assert db.get(Sale, key) == sale
    assert sale.price.cents == 150


def test_what_is_added_must_be_of_the_stored_currency(db, key):
    db.create(Sale(id=key, price=Money("12.50", EUR)))
    assert db.update(Sale, key, Sale.price.add(Money("1", EUR))).price == Money("13.50", EUR)
    assert (
        db.update(Sale, key, Sale.price.add(-Money("20", EUR)), condition=Sale.price == Money("13.50", EUR)).price.cents
        == -650
    )
    with pytest.raises(ConditionFailed):
        db.update(Sale, key, Sale.price.add(Money("1", USD)))
    with pytest.raises(ConditionFailed):
        db.update(Sale, key, Sale.tip.add(Money("1", EUR)))  # there is none to add to
    assert db.get(Sale, key).price.cents == -650


def test_what_is_added_must_be_of_the_stored_exponent(db, key):
    db.create(Raw(id=key, price={"a": 120000, "c": EUR, "e": 4}))
    assert db.get(Sale, key).price == Money("12", EUR)
    with pytest.raises(ConditionFailed):
        db.update(Sale, key, Sale.price.add(Money("1", EUR)))


def test_what_is_added_stays_within_an_int64(db, key):
    db.create(Sale(id=key, price=Money.minor(2**63 - 5, EUR)))
    with pytest.raises(ConditionFailed):
        db.update(Sale, key, Sale.price.add(Money.minor(5, EUR)))
    assert db.update(Sale, key, Sale.price.add(Money.minor(4, EUR))).price.cents == 2**63 - 1
    assert db.update(Sale, key, Sale.price.add(Money.minor(5, EUR, wide=True))).price.cents == 2**63 + 4


def test_an_object_and_a_transaction_carry_the_condition_too(db, key):
    sale = db.create(Sale(id=key, price=Money("1", EUR)))
    db.update(sale, Sale.price.add(Money("1", EUR)))
    assert sale.price == Money("2", EUR)
    with db.transaction() as tx:
        tx.update(Sale, key, Sale.price.add(Money("1", EUR)))
    with pytest.raises(TransactionCancelled), db.transaction() as tx:
        tx.update(Sale, key, Sale.price.add(Money("1", USD)))
    assert db.get(Sale, key).price == Money("3", EUR)


@pytest.mark.parametrize("condition", [
    lambda: Sale.price < Money("1", EUR), lambda: Sale.price >= Money("1", EUR), lambda: Sale.tip > Money("1", EUR),
    lambda: Sale.price.between(Money("1", EUR), Money("2", EUR)),
])  # fmt: skip
def test_a_map_has_no_order_and_the_remedy_is_named(db, key, condition):
    with pytest.raises(ValidationError, match="money="):
        db.update(Sale, key, Sale.price.set(Money("1", EUR)), condition=condition())


@pytest.mark.parametrize(
    "update",
    [lambda: Sale.price.set(5), lambda: Sale.price.add(5), lambda: Sale.tip.append(5), lambda: Sale.price.add({1})],
)
def test_what_is_no_money_is_refused_before_it_is_sent(db, key, wire, update):
    with pytest.raises(ValidationError):
        db.update(Sale, key, update())
    with pytest.raises(ValidationError, match="Money"):
        db.create(Sale(id=key, price=5))
    with pytest.raises(ValidationError, match="Money"):
        db.create(Sale(id=key, price=Money("1", EUR), lines=[12.5]))
    assert db.get(Sale, key) is None


def test_what_is_stored_and_no_money_is_refused_without_its_values(db, key):
    db.create(Raw(id=key, price={"a": 987654, "c": "CLP", "e": 2}))
    with pytest.raises(ValidationError) as caught:
        db.get(Sale, key)
    assert "987654" not in str(caught.value)


def test_a_map_is_no_key(plugged):
    class Keyed(Model, table="keyed"):
        id: Attr[str] = partition_key()
        price: Attr[Money]
        by_price = gsi("by-price", partition="id", sort="price")

    class First(Model, table="keyed"):
        price: Attr[Money] = partition_key()

    for model in (Keyed, First):
        with pytest.raises(ModelError, match="money="):
            plugged().get(model, "x")


def test_production_demands_a_version_of_what_holds_money():
    class Bare(Model, table="bare"):
        id: Attr[str] = partition_key()
        worth: Attr[Money]

    db = DB(Presets.production(region="eu-west-1"))
    with pytest.raises(ModelError, match=r"Bare\.worth is money"):
        db.get(Bare, "x")
    db.close()


def test_two_attributes_are_one_money(db, key):
    split = Split(id=key, shop=key, amount=1250, currency=EUR)
    assert split.price == Money("12.50", EUR)
    split.price = Money("3", USD)
    assert (split.amount, split.currency) == (300, USD)
    db.create(split)
    assert db.update(Split, key, Split.price.add(Money("1", USD))).price == Money("4", USD)
    with pytest.raises(ConditionFailed):
        db.update(Split, key, Split.price.add(Money("1", EUR)))
    assert db.update(Split, key, Split.price.set(Money("5", EUR))).price == Money("5", EUR)


def test_two_attributes_have_an_order(db, key):
    for number, money in enumerate([Money("1", EUR), Money("2", EUR), Money("3", EUR), Money("2", USD)]):
        made = Split(id=f"{key}{number}", shop=key, amount=0, currency=EUR)
        made.price = money
        db.create(made)

    def found(condition):
        query = db.model(Split).where(Split.shop == key).where(condition).index("by-amount")
        return sorted(str(one.price) for one in query.all())

    two = Money("2", EUR)
    assert found(Split.price == two) == ["2.00 EUR"]
    assert found(Split.price < two) == ["1.00 EUR"]
    assert found(Split.price <= two) == ["1.00 EUR", "2.00 EUR"]
    assert found(Split.price > two) == ["3.00 EUR"]
    assert found(Split.price >= two) == ["2.00 EUR", "3.00 EUR"]
    others = db.model(Split).allow_scan().filter((Split.shop == key) & (Split.price != two)).all()
    assert sorted(str(one.price) for one in others) == ["1.00 EUR", "2.00 USD", "3.00 EUR"]
    assert found(Split.price.between(Money("1", EUR), two)) == ["1.00 EUR", "2.00 EUR"]
    assert len(db.model(Split).where(Split.shop == key).where(Split.amount >= 200).index("by-amount").all()) == 3


def test_slips_with_two_attributes_are_named():
    class Wrong(Model, table="wrong"):
        id: Attr[str] = partition_key()
        amount: Attr[int]
        price = two_attributes("amount", "coin")

    with pytest.raises(ModelError, match="'coin'"):
        Wrong.price
    for names in (("amount", "amount"), ("amount", 5)):
        with pytest.raises(ModelError):
            two_attributes(*names)
    with pytest.raises(ValidationError):
        Split.price < 5  # noqa: B015 - it is refused
    with pytest.raises(ValidationError):
        bool(Split.price)
    with pytest.raises(ValidationError):
        Split(id="1", shop="s", amount=1, currency=EUR).price = 5


def test_ends_of_two_currencies_are_refused():
    with pytest.raises(CurrencyMismatch):
        Split.price.between(Money("1", EUR), Money("2", USD))


def test_attr_money_declares_the_two_attributes(db, key):
    stated = Stated(id=key, price=Money("5", EUR))
    assert (stated.amount, stated.currency, stated.tip, stated.tip_amount) == (500, EUR, None, None)
    db.create(stated)
    assert db.get(Stated, key) == stated
    stated.tip = Money("1", USD)
    db.save(stated)
    assert db.get(Stated, key).tip == Money("1", USD)
    assert db.update(Stated, key, Stated.tip.remove(), Stated.price.add(Money("1", EUR))).tip is None
    assert db.update(
        Stated, key, Stated.price.set(Money("2", USD)), condition=Stated.price >= Money("6", EUR)
    ).price == Money("2", USD)
    found = db.model(Stated).where(Stated.price.between(Money("1", USD), Money("2", USD))).index("by-amount").all()
    assert key in [one.id for one in found]
    nothing = None  # which a path is compared with, and never `is`
    assert db.update(Stated, key, Stated.tip.set(Money("1", EUR)), condition=Stated.tip == nothing).tip == Money(
        "1", EUR
    )
    there = Stated.tip.exists() & (Stated.tip != nothing)
    assert db.update(Stated, key, Stated.tip.set(None), condition=there).tip is None
    assert db.exists(Stated, key)
    db.update(Stated, key, Stated.price.set(Money("2", USD)), condition=Stated.tip.not_exists())
    with db.transaction() as tx:
        tx.update(Stated, key, Stated.price.set(Money("3", EUR)))
    assert db.get(Stated, key).price == Money("3", EUR)
    with pytest.raises(ConditionFailed):
        db.update(Stated, key, Stated.price.add(Money("1", USD)))


def test_the_constructor_takes_one_of_the_two():
    assert Stated(id="1", amount=5, currency=EUR).price == Money.minor(5, EUR)
    with pytest.raises(ValidationError, match="part of price"):
        Stated(id="1", price=Money("1", EUR), amount=5)
    with pytest.raises(ValidationError, match="Money"):
        Stated(id="1", price=5)
    with pytest.raises(TypeError):
        Stated(id="1")
    assert Split(id="1", shop="s", price=Money("1", EUR)).amount == 100


def test_a_subclass_and_a_mixin_keep_it():
    class Priced(Mixin):
        price: Attr[Money] = attr(money="cents,code")

    class Base(Model, Priced, table="base"):
        id: Attr[str] = partition_key()

    class Child(Base):
        note: Attr[str] = attr(default="")

    for model in (Base, Child):
        assert model(id="1", price=Money("1", EUR)).cents == 100


@pytest.mark.parametrize(
    ("annotation", "settings"),
    [
        (Attr[Money], {"money": "amount"}), (Attr[Money], {"money": "a,b,c"}), (Attr[Money], {"money": "a,a"}), (Attr[Money], {"money": "a,price"}), (Attr[Money], {"money": "a b,c"}),
        (Attr[Money], {"money": 5}), (Attr[int], {"money": "a,b"}), (Attr[Money], {"money": "a,b", "secret": True}), (Attr[Money], {"money": "a,b", "default": None}),
        (Attr[Money | None], {"money": "a,b", "default": Money("1", EUR)}),
    ],
)  # fmt: skip
def test_slips_with_attr_money_are_named(annotation, settings):
    with pytest.raises(ModelError):
        type(Model)(
            "Wrong",
            (Model,),
            {
                "__annotations__": {"id": Attr[str], "price": annotation},
                "__module__": __name__,
                "id": partition_key(),
                "price": attr(**settings),
            },
            table="wrong",
        )
