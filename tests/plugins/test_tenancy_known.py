"""Items that are known to be a tenant's by their texts: none that the rule itself would not give is ever known, whatever a server sends."""

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import Attr, Model, Tenant, attr, composite, partition_key
from dynamorm.errors import IntegrityError, TenantError, TenantMismatch, ValidationError
from dynamorm.ops.queries.planner import choose
from dynamorm.ops.queries.prepared_query import PreparedQuery
from dynamorm.ops.reads.key_conditions import key_from_parts
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.plugins.tenancy.rules import TenantReads
from dynamorm.testing import reply
from tests.plugins.scripts import Scripted
from tests.support.faults import Store

from .tenancy_kit import IDS, Order, Put, Shared, Txn


class Led(Model, table="tenancy-led"):
    """Keyed, with a literal before the tenant."""

    pk: Attr[str] = partition_key(composite("ORG#{tenant_id}#{number}"))
    tenant_id: Attr[str] = attr(Tenant())
    number: Attr[str]


pytestmark = pytest.mark.filterwarnings("ignore:the partition key of")  # of the model whose keys are shared

TENANTS = (*IDS, "b", "ab", "a#b#c", "%23", "a%", "T", "ORG", "a\u0000")
MODELS = (Txn, Order, Put, Shared, Led)


def answering(answer):
    """A view of tenants whose server gives this answer to everything."""
    from dynamorm.testing import FakeClock

    made = Scripted(
        "blocking", Tenancy(), answer=lambda _: reply(answer["body"]), clock=FakeClock(), cursor_key=b"k" * 32
    )
    return made.db.inner


TEXTS = st.one_of(
    st.sampled_from(TENANTS),
    st.builds(
        lambda head, tail: f"{head}#{tail}", st.sampled_from(TENANTS), st.sampled_from(["", "x", "#", "a#x", "%23"])
    ),
    st.builds(lambda head: f"T#{head}#x", st.sampled_from(TENANTS)),
    st.builds(lambda head: f"ORG#{head}#x", st.sampled_from(TENANTS)),
    st.builds(lambda head: head.replace("%", "%25").replace("#", "%23") + "#x", st.sampled_from(TENANTS)),
)
WIRES = st.one_of(TEXTS.map(lambda text: {"S": text}), st.just({"N": "1"}), st.just({"NULL": True}), st.none())
KEYS = {Txn: ("pk", "sk"), Order: ("tenant_id", "number"), Put: ("id",), Shared: ("id",), Led: ("pk",)}


def items_of(model):
    names = {"tenant_id", "number", *KEYS[model]} | ({"at"} if model is Txn else set())
    return st.lists(
        st.fixed_dictionaries({name: WIRES if name in {"tenant_id", KEYS[model][0]} else TEXTS.map(lambda text: {"S": text}) for name in sorted(names)}),
        min_size=1,
        max_size=4,
    )  # fmt: skip


@given(data=st.data(), model=st.sampled_from(MODELS), tenant=st.sampled_from(IDS))
def test_what_a_query_gives_is_what_the_rule_keeps_of_each_item(data, model, tenant):
    wires = [{name: wire for name, wire in item.items() if wire is not None} for item in data.draw(items_of(model))]
    answer = {"body": {"Items": wires, "Count": len(wires), "ScannedCount": len(wires)}}
    found = []
    for known in (True, False):
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            if not known:
                patch.setattr(TenantReads, "known_by", lambda *_: None)
            query = answering(answer).view(tenant=tenant).model(model)
            query = {
                Txn: lambda q: q.where(Txn.number == "x"),
                Led: lambda q: q.where(Led.number == "x"),
                Put: lambda q: q.where(Put.id == "x"),
                Shared: lambda q: q,
                Order: lambda q: q,
            }[model](query)
            try:
                found.append(sorted((one.tenant_id, getattr(one, "number", "") or one.id) for one in query.all()))
            except (TenantError, IntegrityError, ValidationError) as error:
                found.append(type(error))
    assert found[0] == found[1]
    if isinstance(found[0], list):
        assert {owner for owner, _ in found[0]} <= {tenant, ""}


@pytest.mark.parametrize("model", MODELS)
def test_one_item_among_many_is_enough(model):
    """At any place of a page, and of a large one, too, whose objects are made in another way."""
    own = {
        Txn: {"pk": "a#x", "sk": "0", "tenant_id": "a", "number": "x", "at": "0"},
        Order: {"tenant_id": "a", "number": "x"},
        Put: {"id": "T#a#x", "tenant_id": "a"},
        Shared: {"id": "x", "tenant_id": "a"},
        Led: {"pk": "ORG#a#x", "tenant_id": "a", "number": "x"},
    }[model]
    foreign = {name: text.replace("a", "b") for name, text in own.items()}
    for size in (1, 10, 300):
        for place in {0, size // 2, size - 1}:
            items = [{name: {"S": text} for name, text in own.items()} for _ in range(size)]
            items[place] = {name: {"S": text} for name, text in foreign.items()}
            if "amount" in model.__annotations__:
                for item in items:
                    item |= {"amount": {"N": "1"}, "version": {"N": "0"}}
            answer = {"body": {"Items": items, "Count": size, "ScannedCount": size}}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                view = answering(answer).view(tenant="a")
                query = view.model(model)
            if model in {Txn, Led}:
                query = query.where(model.number == "x")
            elif model is Put:
                query = query.where(Put.id == "x")
            if model is Shared:
                assert len(query.all()) == size - 1
            else:
                with pytest.raises(TenantMismatch):
                    query.all()


def conditions_of(model):
    """Conditions of callers: on the tenant, on the key, on what is in no key; right, foreign, doubled, joined, contradictory."""
    key = {Txn: Txn.pk, Order: Order.number, Put: Put.id, Shared: Shared.id, Led: Led.pk}[model]
    other = {Txn: Txn.number, Order: Order.number, Put: Put.id, Shared: Shared.id, Led: Led.number}[model]
    texts = st.one_of(st.sampled_from(TENANTS), TEXTS)
    leaf = st.one_of(
        st.builds(lambda text: model.tenant_id == text, texts),
        st.builds(lambda text: key == text, texts),
        st.builds(lambda text: other == text, texts),
        st.builds(lambda text: other > text, texts),
        st.builds(lambda text: model.tenant_id != text, texts),
        st.builds(lambda text: model.tenant_id.in_([text]), texts),
        st.builds(model.tenant_id.begins_with, texts),
        st.just(model.tenant_id == other),
        st.just(model.tenant_id.exists()),
    )
    return st.one_of(leaf, st.builds(lambda one, two: one & two, leaf, leaf), st.builds(lambda one, two: one | two, leaf, leaf))  # fmt: skip


@given(data=st.data(), model=st.sampled_from(MODELS), tenant=st.sampled_from(IDS))
def test_what_a_query_asks_for_is_what_the_rule_makes_of_it(data, model, tenant):
    """Whatever the caller says: the same request, or the same refusal, as where the rule is asked of each query."""
    conditions, filters = (data.draw(st.lists(conditions_of(model), max_size=most)) for most in (3, 1))
    own = data.draw(st.sampled_from([(), (model.tenant_id == tenant,)]))
    scans = data.draw(st.booleans())
    found = []
    for known in (True, False):
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            if not known:
                patch.setattr(TenantReads, "known_query", lambda *_: None)
            view = answering({"body": {}}).view(tenant=tenant)
            query = view.model(model).where(*own, *conditions).filter(*filters)
            query = query.allow_scan() if scans else query
            plan = view._session.plan(model)
            try:
                prepared = PreparedQuery(plan, query._request, choose(plan, query._request))
                found.append((prepared.name, prepared.head, prepared.query_plan.why))
            except (TenantError, ValidationError) as error:
                found.append((type(error), str(error)))
    assert found[0] == found[1]
    if found[0][0] in {"Query", "Scan"}:
        assert found[0][0] == "Query"


PARTS = st.one_of(st.text(max_size=300), st.sampled_from([*TENANTS, "", 7, None, b"x"]))


@given(tenant=st.sampled_from(IDS), owner=st.one_of(st.none(), PARTS), rest=PARTS)
def test_a_key_of_the_view_is_the_key_of_its_values(tenant, owner, rest):
    """However it is made: the same bytes, or the same refusal, as where the whole key is written and then looked at."""
    session = answering({"body": {}}).view(tenant=tenant)._session
    codec, tenant = session.plan(Order).codec, session.scope["tenant"]

    def made(make):
        try:
            return make()
        except (TenantError, ValidationError) as error:
            return type(error), str(error)

    def looked_at():
        key = codec.keys._general((tenant if owner is None else owner, rest))
        if json.loads(key)["tenant_id"] != {"S": tenant}:
            raise TenantMismatch("this key of a Order is not one of the tenant that is served")
        return key

    assert made(lambda: codec.key_json((rest,) if owner is None else (owner, rest))) == made(looked_at)


class Liar(str):
    """A text that is equal to all."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


@given(tenants=st.lists(st.sampled_from(IDS), min_size=1, max_size=3), number=st.sampled_from(TENANTS))
def test_the_part_of_a_key_that_the_view_gives_is_made_once_and_is_the_same(tenants, number):
    """Named or left out, once and again, in views that take turns: the key of the tenant's own item, and of no other one."""
    views = [answering({"body": {}}).view(tenant=tenant) for tenant in tenants]
    for _ in range(2):
        for view in views:
            session = view._session
            plan, tenant = session.plan(Txn), session.scope["tenant"]
            wanted = plan.codec.composites["pk"].join({"tenant_id": tenant, "number": number})
            for parts in ({}, {"tenant_id": tenant}):
                assert key_from_parts(plan, (), {"number": number, "at": "0", **parts}) == (wanted, "0")
            for conditions in ((), (Txn.tenant_id == tenant,)):
                request = view.model(Txn).where(*conditions, Txn.number == number)._request
                (term,) = choose(plan, request).terms
                assert term.operands[0].value == {"S": wanted}
            for other in ("other", Liar("other")):
                with pytest.raises(TenantMismatch):
                    view.get(Txn, tenant_id=other, number=number, at="0")
                with pytest.raises(TenantMismatch):
                    view.model(Txn).where(Txn.tenant_id == other, Txn.number == number).all()


def test_a_query_with_a_limit_reads_no_more_items_than_it_gives(face_kind):
    """Nothing of a tenant's own partition is left out, so that nothing more is to be paid for."""
    from .tenancy_world import World, database

    world, limits = World(), []
    db = database(face_kind, world)
    view = db.with_tenant("a")
    for number in range(9):
        view.create(Order(number=str(number)))
        view.create(Txn(number="n", at=str(number)))
    told = world._Query

    def query(body):
        limits.append(body.get("Limit"))
        return told(body)

    world._Query = query
    assert len(view.model(Order).limit(4).all()) == 4
    assert len(view.model(Txn).where(Txn.number == "n").limit(3).all()) == 3
    assert view.model(Order).first().number == "0"
    page = view.model(Order).page_size(5).page()
    assert len(page.items) == 5
    assert [one.number for one in view.model(Order).page_size(5).cursor(page.cursor).page().items] == list("5678")
    assert limits == [4, 3, 1, 5, 5]
    assert isinstance(world, Store)
    db.close()


def test_what_is_known_is_of_the_view_and_not_of_the_model():
    """Views of two tenants take turns: neither is ever given what is known of the other one."""
    answer = {"body": None}
    db = answering(answer)
    views = {tenant: db.view(tenant=tenant) for tenant in ("a", "b")}
    for _ in range(3):
        for owner in "ab":
            answer["body"] = json.loads(json.dumps({"Item": {"tenant_id": {"S": owner}, "number": {"S": "1"}, "amount": {"N": "1"}, "version": {"N": "0"}}}))  # fmt: skip
            for tenant, view in views.items():
                if tenant == owner:
                    assert view.get(Order, "1").tenant_id == owner
                else:
                    with pytest.raises(TenantMismatch):
                        view.get(Order, "1")
