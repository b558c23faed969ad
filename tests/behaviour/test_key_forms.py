"""Forms of fields in keys: texts in one case, and numbers as text that sorts as they do, read and addressed as they are stored."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import AlreadyExists, Attr, Model, ValidationError, attr, composite, gsi, partition_key, sort_key, version
from dynamorm.models.schema.key_forms import CASES, NUMBER_PATTERN, number_in_key, number_key

from .kit import ask, stored, table_of


class User(Model, table="users"):
    pk: Attr[str] = partition_key(composite("USER#{email:lower}"))
    email: Attr[str]
    country: Attr[str] = attr(default="de")
    version: Attr[int] = version()
    gsi_pk: Attr[str | None] = attr(composite("{country:upper}"), init=False)
    by_country = gsi("by-country", partition="gsi_pk")


class Reading(Model, table="readings"):
    pk: Attr[str] = partition_key(composite("sensor"))
    sk: Attr[str] = sort_key(composite("{value:number}#{at:number}"))
    sensor: Attr[str]
    value: Attr[Decimal]
    at: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")


class Single(Model, table="singles"):
    pk: Attr[str] = partition_key(composite("group"))
    sk: Attr[str] = sort_key(composite("{height:number}"))
    group: Attr[str]
    height: Attr[Decimal]


class Word(Model, table="words"):
    pk: Attr[str] = partition_key(composite("group"))
    sk: Attr[str] = sort_key(composite("{text:lower}"))
    group: Attr[str]
    text: Attr[str]


MODELS = [User, Reading, Single, Word]

NUMBERS = st.builds(
    lambda sign, digits, exponent: Decimal(f"{sign}{digits}E{exponent}"),
    st.sampled_from(["", "-"]),
    st.integers(0, 10**38 - 1),
    st.integers(-90, 80),
) | st.integers(-1000, 1000).map(Decimal) | st.decimals(-10, 10, places=3)  # fmt: skip


@settings(max_examples=500)
@given(NUMBERS, NUMBERS)
def test_texts_sort_as_their_numbers_do(one, other):
    first, second = number_key(str(one)), number_key(str(other))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)
    assert (f"{first}#x" < f"{second}#") == (one < other)  # with more of the key behind it, too


@given(NUMBERS)
def test_a_number_is_read_back(one):
    text = number_key(str(one))
    assert Decimal(number_in_key(text)) == one
    made = composite("A#{n:number}#{m}")
    assert made.split(made.join([str(one), "x#"])) == {"n": number_in_key(text), "m": "x#"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("1", "15001"),
        ("1.0", "15001"),
        ("12.5", "1501125"),
        ("-12.5", "-498874~"),
        ("0.001", "14971"),
        ("-1", "-4998~"),
        ("1E+125", "16251"),
        ("-9.99E+125", "-374000~"),
        ("1E-130", "13701"),
    ],
)
def test_the_form_is_the_documented_one(number, text):
    assert number_key(number) == text
    assert re.fullmatch(NUMBER_PATTERN, text)


@pytest.mark.parametrize("text", ["x", "NaN", "Infinity", "1E+500", "1" * 400, ""])
def test_what_is_no_number_has_no_text(text):
    with pytest.raises(ValidationError):
        number_key(text)


@pytest.mark.engine
def test_a_text_is_found_in_any_case_and_kept_in_its_own(db, key):
    made = db.create(User(email=f"Ann.{key}@Shop.Example"))
    assert stored(db, User, f"USER#ann.{key}@shop.example")["email"] == {"S": made.email}
    assert made.pk == f"USER#ann.{key}@shop.example"
    for spelled in (made.email, made.email.lower(), made.email.upper()):
        assert db.get(User, email=spelled) == made
        assert db.model(User).where(User.email == spelled).one() == made
        with pytest.raises(AlreadyExists):
            db.create(User(email=spelled))
    assert db.exists(User, email=made.email.swapcase())
    made.email = made.email.upper()  # the same key, so that it is no other item
    db.save(made)
    assert db.get(User, email=made.email.lower()).email == made.email
    db.update(User, made.pk, User.country.set("At"))
    assert stored(db, User, made.pk)["gsi_pk"] == {"S": "AT"}
    found = db.model(User).where(User.country == "aT").index("by-country").all()
    assert [one.country for one in found if one.email == made.email] == ["At"]
    with db.transaction() as tx:
        tx.update(User, made.pk, User.country.set("fr"))
    assert stored(db, User, made.pk)["gsi_pk"] == {"S": "FR"}
    db.delete(User, email=made.email.swapcase())
    assert db.get(User, made.pk) is None


@pytest.mark.engine
def test_an_item_that_another_program_spelled_otherwise_is_addressed_as_it_is_stored(db, key):
    item = {"pk": {"S": f"USER#{key.upper()}"}, "email": {"S": key.upper()}, "version": {"N": "1"}}
    ask(db, "PutItem", {"TableName": table_of(db, User), "Item": item})
    found = db.get(User, f"USER#{key.upper()}")
    assert found.email == key.upper()
    assert db.get(User, email=key.upper()) is None  # our own key of it is another one


@pytest.mark.engine
def test_numbers_sort_in_keys(db, key):
    values = [Decimal(text) for text in ("-12.5", "-12", "-0.5", "0", "0.25", "1", "9.99", "10", "100")]
    for value in reversed(values):
        db.put(Reading(sensor=key, value=value))
    mine = db.model(Reading).where(Reading.sensor == key)
    assert [one.value for one in mine.all()] == values
    assert [one.value for one in mine.order_by("value", "desc").all()] == values[::-1]
    for low, high in [(-12, 1), (Decimal("-12.5"), Decimal("0.25")), (Decimal("-0.6"), 1000)]:
        between = mine.where(Reading.value.between(low, high))
        assert [one.value for one in between.all()] == [value for value in values if low <= value <= high]
        assert "BETWEEN" in str(between.explain())
    for edge in values:
        assert [one.value for one in mine.where(Reading.value > edge).all()] == [one for one in values if one > edge]
        assert [one.value for one in mine.where(Reading.value >= edge).all()] == [one for one in values if one >= edge]
        assert [one.value for one in mine.where(Reading.value < edge).all()] == [one for one in values if one < edge]
        assert [one.value for one in mine.where(Reading.value <= edge).all()] == [one for one in values if one <= edge]
    assert db.get(Reading, sensor=key, value=Decimal("-12.50"), at=0).value == Decimal("-12.5")


@pytest.mark.engine
def test_a_number_that_is_the_whole_key(db, key):
    values = [Decimal(text) for text in ("-100.25", "-3", "0", "0.1", "7", "70")]
    assert not db.batch_write(puts=[Single(group=key, height=value) for value in values]).failed
    mine = db.model(Single).where(Single.group == key)
    for edge in (*values, Decimal(5)):
        assert [one.height for one in mine.where(Single.height > edge).all()] == [one for one in values if one > edge]
        assert [one.height for one in mine.where(Single.height < edge).all()] == [one for one in values if one < edge]
    found = mine.where(Single.height == 7).one()
    assert found.sk == "15007"
    db.save(found)
    db.delete(found)
    assert db.batch_get(Single, [(key, "15007"), (key, "1501" + "7")])[1].height == 70


def test_times_and_durations_have_a_form_as_their_stored_numbers_have():
    class Span(Model, table="spans"):
        id: Attr[str] = partition_key(composite("{lasts:number}"))
        lasts: Attr[timedelta]

    assert Span(lasts=timedelta(seconds=-1.5)).id == number_key("-1.5")


@pytest.mark.parametrize("form", CASES)
@given(st.text() | st.text("ΑΣσς a."), st.text() | st.text("ΑΣσς a."))
def test_a_case_is_that_of_each_character_alone(form, one, other):
    case = CASES[form]
    assert case(one + other) == case(one) + case(other)
    assert (case(one) == case(other)) == (case(other) == case(one.replace("ς", "σ")))  # noqa: RUF001


@pytest.mark.parametrize("form", CASES)
def test_no_character_has_another_case_beside_others(form):
    case = CASES[form]
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert not [one for one in every if case(f"Α{one}Σ{one}") != case("Α") + case(one) + case("Σ") + case(one)]  # noqa: RUF001


@pytest.mark.engine
def test_a_start_that_ends_in_sigma_finds_what_goes_on(db, key):
    for text in ("ΑΣ", "ΑΣΑ"):
        db.create(Word(group=key, text=text))
    found = db.model(Word).where(Word.group == key, Word.text.begins_with("ΑΣ")).all()
    assert [word.text for word in found] == ["ΑΣ", "ΑΣΑ"]
    assert [word.text for word in db.model(Word).where(Word.group == key, Word.text == "ας").all()] == ["ΑΣ"]
