"""Answers of reads that a plugin keeps: decoded, prepared and checked as if they had just come."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import InvalidUse, MalformedResponse, ValidationError
from dynamorm.plugin import ReadRule, WriteRule

from .kit import Recorder

pytestmark = pytest.mark.engine


class Entry(Model, table="entries"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str] = attr(default="")
    owner: Attr[str] = attr(default="")
    version: Attr[int] = version()


MODELS = [Entry]


class Memory:
    """Keeps the answers of reads until something is written, and refuses scans."""

    name = "memory"

    def __init__(self):
        self.answers = {}
        self.hits = 0

    def around(self, call):
        def remembered(op):
            if op.name not in {"GetItem", "Query", "BatchGetItem", "TransactGetItems"}:
                self.answers.clear()
                return (yield from call(op))
            if op.purpose != "verb":
                return (yield from call(op))
            known = self.answers.get((op.name, op.body))
            if known is not None:
                self.hits += 1
                return (yield from op.read(known))
            answer, result = yield from call(op.with_wire())
            self.answers[op.name, op.body] = answer
            return result

        return remembered

    def operation(self, next):
        def refusing(operation):
            if operation.verb == "delete_all":
                raise ValidationError("nothing is deleted here")
            return (yield from next(operation))

        return refusing


class Owned(ReadRule):
    attributes = ("owner",)

    def __init__(self):
        self.prepared = 0

    def check(self, item, scope):
        return "owner" not in scope or item.get("owner") == {"S": scope["owner"]}

    def prepare(self, items, scope):
        self.prepared += len(items)
        yield from ()


class Owners:
    name = "owners"

    def __init__(self):
        self.rule = Owned()

    def read_rule(self, schema):
        return self.rule


READS = {
    "get": lambda db, key: db.get(Entry, key, 1),
    "select": lambda db, key: db.get(Entry, key, 1, select=["text"]),
    "missing": lambda db, key: db.get(Entry, key, 99),
    "all": lambda db, key: db.model(Entry).where(Entry.of == key).all(),
    "pages": lambda db, key: list(db.model(Entry).where(Entry.of == key).page_size(2)),
    "filtered": lambda db, key: db.model(Entry).where(Entry.of == key).filter(Entry.text != "x").limit(2).all(),
    "count": lambda db, key: db.model(Entry).where(Entry.of == key).count(),
    "batch": lambda db, key: db.batch_get(Entry, [(key, 1), (key, 99), (key, 2)]),
    "transact": lambda db, key: db.transact_get([(Entry, key, 1), (Entry, key, 99)]),
}


@pytest.mark.parametrize("read", READS)
def test_a_kept_answer_gives_what_the_read_gives(plugged, key, read):
    memory = Memory()
    db = plugged(memory)
    for number in range(4):
        db.create(Entry(of=key, number=number, text=f"t{number}"))
    first = READS[read](db, key)
    assert memory.hits == 0
    again = READS[read](db, key)
    assert memory.hits > 0
    assert again == first


def test_an_object_of_a_kept_answer_is_one_of_its_own(plugged, key):
    memory = Memory()
    db = plugged(memory)
    db.create(Entry(of=key, number=1, text="a"))
    one, other = db.get(Entry, key, 1), db.get(Entry, key, 1)
    assert (memory.hits, one is other) == (1, False)
    one.text = "b"
    assert other.text == "a"
    db.save(one)
    assert db.get(Entry, key, 1).text == "b"
    assert db.update(Entry, key, 1, Entry.text.set("c")).text == "c"
    assert db.get(Entry, key, 1).text == "c"


def test_what_others_write_is_not_seen(plugged, key):
    memory = Memory()
    db, plain = plugged(memory), plugged()
    db.create(Entry(of=key, number=1, text="a"))
    assert db.get(Entry, key, 1).text == "a"
    plain.update(Entry, key, 1, Entry.text.set("b"))
    assert db.get(Entry, key, 1).text == "a"
    assert memory.hits == 1
    assert db.get(Entry, key, 1, consistent=True).text == "b"  # another request


def test_rules_look_at_kept_answers_too(plugged, key):
    memory, owners = Memory(), Owners()
    db = plugged(memory, owners)
    db.create(Entry(of=key, number=1, owner="me"))
    mine, yours = db.scoped(owner="me"), db.scoped(owner="you")
    before = owners.rule.prepared
    assert mine.get(Entry, key, 1) is not None
    assert yours.get(Entry, key, 1) is None
    assert memory.hits == 1
    assert owners.rule.prepared == before + 2
    assert mine.model(Entry).where(Entry.of == key).all()
    assert yours.model(Entry).where(Entry.of == key).all() == []
    assert memory.hits == 2


def test_an_answer_to_another_request_is_refused(plugged, key):
    class Mixed(Memory):
        def around(self, call):
            def mixed(op):
                if op.name == "GetItem" and self.answers:
                    (known,) = self.answers.values()
                    return (yield from op.read(known))
                if op.name != "GetItem":
                    return (yield from call(op))
                answer, result = yield from call(op.with_wire())
                self.answers[op.name, op.body] = answer
                return result

            return mixed

    db = plugged(Mixed())
    db.create(Entry(of=key, number=1))
    db.create(Entry(of=key, number=2))
    assert db.get(Entry, key, 1).number == 1
    with pytest.raises(MalformedResponse, match="another key"):
        db.get(Entry, key, 2)


def test_a_write_has_no_answer_to_keep(plugged, key):
    class Keeping:
        name = "keeping"

        def around(self, call):
            def kept(op):
                return (yield from call(op.with_wire()))

            return kept

    db = plugged(Keeping())
    with pytest.raises(InvalidUse, match="writes"):
        db.put(Entry(of=key, number=1))
    assert plugged().get(Entry, key, 1) is None


def test_a_verb_is_refused(plugged, key):
    db = plugged(Memory())
    db.create(Entry(of=key, number=1))
    with pytest.raises(ValidationError, match="nothing is deleted here"):
        db.model(Entry).where(Entry.of == key).delete_all(confirm=True)
    assert db.get(Entry, key, 1) is not None


CONSISTENT = ("get", "select", "all", "pages", "filtered", "count", "batch")


class Latest:
    """Asks for the latest state in each read."""

    name = "latest"

    def around(self, call):
        return lambda op: call(op.consistent() if op.name in {"GetItem", "Query", "BatchGetItem"} else op)


@pytest.mark.parametrize("read", CONSISTENT)
def test_a_read_is_made_consistent(plugged, key, read):
    plain, db = plugged(), plugged(Latest(), wire := Recorder())
    for number in range(4):
        plain.create(Entry(of=key, number=number, text=f"t{number}"))
    assert READS[read](db, key) == READS[read](plain, key)
    assert wire.calls
    for name, request in wire.calls:
        parts = request["RequestItems"].values() if name == "BatchGetItem" else [request]
        assert all(part["ConsistentRead"] is True for part in parts)


def test_a_consistent_read_stays_one_and_keeps_its_parts(plugged, key):
    plain, db = plugged(wire := Recorder()), plugged(Latest(), latest := Recorder())

    def read(face):
        return face.get(Entry, key, 1, consistent=True, select=["text"])

    read(plain)
    read(db)
    assert latest.calls == wire.calls


@pytest.mark.parametrize("call", ["PutItem", "TransactGetItems"])
def test_what_has_no_consistent_read_is_refused(plugged, key, call):
    class Always:
        name = "always"

        def around(self, call):
            return lambda op: call(op.consistent())

    db = plugged(Always())
    with pytest.raises(InvalidUse, match=f"{call} of .* has no ConsistentRead"):
        db.put(Entry(of=key, number=1)) if call == "PutItem" else db.transact_get([(Entry, key, 1)])


@pytest.mark.parametrize("passive", [False, True])
def test_a_rule_that_only_looks_on_leaves_deletes_in_batches(plugged, key, passive):
    class Seen(WriteRule):
        in_batches = True

        def contribute(self, draft):
            return None

    class Looking:
        name = "looking"

        def write_rule(self, schema):
            rule = Seen()
            rule.passive = passive
            return rule

    db = plugged(Looking(), wire := Recorder())
    for number in range(3):
        db.put(Entry(of=key, number=number))
    wire.clear()
    db.model(Entry).where(Entry.of == key).delete_all(confirm=True)
    assert wire.names[1:] == (["BatchWriteItem"] if passive else ["DeleteItem"] * 3)
