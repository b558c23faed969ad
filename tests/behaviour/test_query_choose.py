"""The planner: which table or index is read is decided by the terms alone, and never by an index that lacks something."""

import itertools

import pytest

from dynamorm import Attr, Model, ValidationError, attr, created_at, gsi, lsi, partition_key, sort_key
from dynamorm.ops.queries.planner import choose
from dynamorm.ops.queries.request import Request

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    merchant: Attr[str]
    region: Attr[str] = attr(default="eu")
    status: Attr[str]
    kind: Attr[str]
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None)
    label: Attr[str] = attr(default="")
    created: Attr[str] = created_at()
    by_status = gsi("gsi-status-created", partition="status", sort="created")
    by_kind = gsi("gsi-b-kind", partition="kind", sort="amount")
    by_kind_too = gsi("gsi-a-kind", partition="kind", sort="amount")
    by_note = gsi("gsi-note", partition="merchant", sort="note")
    by_label = gsi("gsi-label", partition="merchant", sort="label")
    by_keys = gsi("gsi-keys", partition="region", sort="amount", projection="KEYS_ONLY")


class Entry(Model, table="entries"):
    account: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    day: Attr[str]
    amount: Attr[int]
    by_day = lsi("lsi-day", sort="day")
    all_days = gsi("gsi-day", partition="account", sort="day")
    by_amount = gsi("gsi-amount", partition="account", sort="amount")


class Event(Model, table="events", discriminator="type"):
    stream: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    owner: Attr[str] = attr(default="nobody", min_length=1)
    day: Attr[str]
    source: Attr[str]
    hour: Attr[int] = attr(default=0)
    wide = gsi("gsi-wide", partition=("owner", "source"), sort=("day", "hour"))
    by_day = gsi("gsi-day", partition="day", projection="KEYS_ONLY")


class Paid(Event, tag="paid"):
    amount: Attr[int] = attr(default=0)


class Refunded(Paid, tag="refunded"):
    pass


class Note(Model, table="notes", discriminator="type"):
    id: Attr[str] = partition_key()
    owner: Attr[str]
    rank: Attr[int]
    by_owner = gsi("gsi-owner", partition="owner", sort="rank")


class Draft(Note):
    rank: Attr[int | None] = attr(default=None)


@pytest.fixture
def chosen(db):
    """The plan of a query, and the same for every order of its terms."""

    def plan(model, *terms, **request):
        plan = db.inner._session.plan(model)
        found = {}
        for order in itertools.permutations(terms):
            one = choose(plan, Request(model, order, **request))
            name = None if one.index is None else one.index.name
            found[name, one.scan, tuple(sorted(term.path.name for term in one.terms)), len(one.filters)] = one
        assert len(found) == 1, "the order of the terms matters"
        return next(iter(found))

    return plan


@pytest.fixture
def problem(db):
    """What is said of a query that cannot be planned."""

    def plan(model, *terms, **request):
        with pytest.raises(ValidationError) as caught:
            choose(db.inner._session.plan(model), Request(model, terms, **request))
        return caught.value

    return plan


P, E = Payment, Entry


def test_the_whole_key_of_the_table_goes_before_everything(chosen):
    assert chosen(P, P.id == "p1", P.status == "done", P.amount > 5) == (None, False, ("id",), 2)
    assert chosen(P, P.id == "p1", P.kind == "card", P.amount == 5) == (None, False, ("id",), 2)


def test_an_index_is_chosen_when_only_it_is_given(chosen):
    assert chosen(P, P.status == "done") == ("gsi-status-created", False, ("status",), 0)
    assert chosen(P, P.status == "done", P.note == "x") == ("gsi-status-created", False, ("status",), 1)


def test_the_name_decides_between_equals(chosen):
    assert chosen(P, P.kind == "card")[0] == "gsi-a-kind"


def test_the_table_goes_before_a_local_and_that_before_a_global_index(chosen):
    assert chosen(E, E.account == "a") == (None, False, ("account",), 0)
    assert chosen(E, E.account == "a", E.number > 3, E.day == "d") == (None, False, ("account", "number"), 1)
    assert chosen(E, E.account == "a", E.day == "d") == ("lsi-day", False, ("account", "day"), 0)
    assert chosen(E, E.account == "a", E.amount > 5) == ("gsi-amount", False, ("account", "amount"), 0)


def test_the_whole_key_of_an_index_goes_before_part_of_the_tables(chosen):
    assert chosen(E, E.account == "a", E.day.begins_with("2024-")) == ("lsi-day", False, ("account", "day"), 0)


def test_the_order_asked_for_decides_too(chosen, problem):
    assert chosen(E, E.account == "a", order="day")[0] == "lsi-day"
    assert chosen(E, E.account == "a", order="amount")[0] == "gsi-amount"
    assert 'lsi("lsi-number' not in str(problem(P, P.merchant == "m", order="amount"))


def test_two_bounds_are_one_range(chosen):
    assert chosen(E, E.account == "a", E.number >= 3, E.number <= 7) == (None, False, ("account", "number"), 0)
    assert chosen(E, E.account == "a", E.account == "a") == (None, False, ("account",), 0)


def test_a_sparse_index_is_not_taken_unless_a_term_demands_its_key(chosen, problem):
    error = problem(P, P.merchant == "m", P.kind == "card", index=None, order="note")
    assert "gsi-note" in str(error)
    assert "leaves out items without note" in str(problem(P, P.merchant == "m"))
    assert ".index('gsi-note')" in str(problem(P, P.merchant == "m"))
    assert chosen(P, P.merchant == "m", P.note == "x")[0] == "gsi-note"
    assert chosen(P, P.merchant == "m", P.note.exists()) == ("gsi-note", False, ("merchant",), 0)
    assert chosen(P, P.merchant == "m", P.note != None)[0] == "gsi-note"  # noqa: E711 - a path
    assert chosen(P, P.merchant == "m", index="gsi-note")[0] == "gsi-note"


def test_a_text_that_is_empty_by_default_makes_an_index_sparse(problem):
    assert "gsi-label" in str(problem(P, P.merchant == "m"))


@pytest.mark.parametrize("term", [lambda: P.note != "x", lambda: P.note == None, P.note.not_exists])  # noqa: E711 - a path
def test_a_term_that_is_true_of_a_missing_attribute_demands_nothing(problem, term):
    problem(P, P.merchant == "m", term())


def test_an_index_that_holds_only_part_of_each_item_is_not_taken_silently(chosen, problem):
    assert "holds only part" in str(problem(P, P.region == "eu"))
    assert chosen(P, P.region == "eu", select=(P.id, P.amount))[0] == "gsi-keys"
    assert chosen(P, P.region == "eu", hydrate=True)[0] == "gsi-keys"
    problem(P, P.region == "eu", select=(P.id, P.note))
    assert "does not hold what the filter names" in str(problem(P, P.region == "eu", P.note == "x", hydrate=True))


def test_a_filter_on_what_an_index_does_not_hold_is_refused(problem):
    """DynamoDB would find it false of every item."""
    assert "does not hold note" in str(problem(P, P.region == "eu", P.note != "x", index="gsi-keys"))


def test_multi_attribute_keys_take_the_whole_partition_and_the_sort_from_the_left(chosen, problem):
    X = Event
    assert chosen(X, X.owner == "o", X.source == "s") == ("gsi-wide", False, ("owner", "source"), 0)
    assert chosen(X, X.owner == "o", X.source == "s", X.day == "d", X.hour > 3) == (
        "gsi-wide", False, ("day", "hour", "owner", "source"), 0,
    )  # fmt: skip
    assert chosen(X, X.owner == "o", X.source == "s", X.day > "d")[2] == ("day", "owner", "source")
    problem(X, X.owner == "o")
    problem(X, X.owner == "o", X.source == "s", X.hour == 3)  # the day comes first, and a filter on a key is refused


def test_no_plan_names_the_index_that_would_serve(problem):
    error = problem(P, P.amount > 5, P.note == "x", order="created")
    assert 'gsi("gsi-note-created", partition="note", sort="created")' in error.message
    assert ".allow_scan()" in error.message
    assert ".allow_scan()" in problem(P).message
    assert "batch_get" in problem(P, P.id.in_(["a", "b"])).message


def test_a_scan_is_made_only_where_it_is_allowed_and_nothing_else_serves(chosen):
    assert chosen(P, P.amount > 5, scan_allowed=True) == (None, True, (), 1)
    assert chosen(P, P.id.in_(["a", "b"]), scan_allowed=True) == (None, True, (), 1)
    assert chosen(P, P.id == "p1", scan_allowed=True) == (None, False, ("id",), 0)
    assert chosen(P, P.merchant == "m", scan_allowed=True) == (None, True, (), 1)
    assert chosen(P, P.amount > 5, scan_allowed=True, index="gsi-note") == ("gsi-note", True, (), 1)


def test_a_consistent_read_does_not_choose_a_global_index(chosen, problem):
    assert "eventually consistent" in problem(P, P.status == "done", consistent=True).message
    assert "eventually consistent" in problem(P, P.status == "x", consistent=True, index="gsi-status-created").message
    assert chosen(P, P.status == "done", consistent=True, scan_allowed=True) == (None, True, (), 1)
    assert chosen(E, E.account == "a", E.day == "d", consistent=True)[0] == "lsi-day"


def test_the_siblings_of_a_class_are_filtered_out(chosen, problem):
    assert chosen(Event, Event.stream == "s") == (None, False, ("stream",), 0)
    assert chosen(Paid, Paid.stream == "s") == (None, False, ("stream",), 1)
    assert chosen(Paid, scan_allowed=True) == (None, True, (), 1)
    assert "hydrate" in problem(Paid, Paid.day == "d", index="gsi-day").message
    assert chosen(Paid, Paid.day == "d", index="gsi-day", hydrate=True) == ("gsi-day", False, ("day",), 0)


def test_an_index_that_lacks_the_items_of_a_subclass_is_not_taken_silently(problem):
    assert "leaves out items without rank" in problem(Note, Note.owner == "o").message


def test_in_with_one_value_is_an_equality(chosen):
    assert chosen(P, P.id.in_(["a"])) == (None, False, ("id",), 0)


def test_or_and_not_are_never_key_conditions(chosen, problem):
    problem(P, (P.id == "a") | (P.id == "b"))
    problem(P, ~(P.id == "a"))
    assert chosen(P, P.status == "x", (P.note == "a") | (P.note == "b")) == (
        "gsi-status-created", False, ("status",), 1,
    )  # fmt: skip
    assert chosen(P, (P.status == "x") & ((P.id == "a") & (P.amount > 3))) == (None, False, ("id",), 2)


def test_a_key_compared_with_an_attribute_is_a_filter(problem):
    problem(P, P.id == P.merchant)


def test_the_request_of_a_multi_attribute_key_names_its_attributes_in_order(db):
    """Neither engine has such indexes, so the request is looked at."""
    query = db.model(Event).where(Event.hour > 3, Event.day == "d").where(Event.source == "s", Event.owner == "o")
    request = query.order_by("hour", "desc").explain(values=True).request
    assert request["KeyConditionExpression"] == "#n0 = :v0 AND #n1 = :v1 AND #n2 = :v2 AND #n3 > :v3"
    assert list(request["ExpressionAttributeNames"].values()) == ["owner", "source", "day", "hour"]
    assert (request["IndexName"], request["ScanIndexForward"]) == ("gsi-wide", False)
