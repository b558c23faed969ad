"""What decoding needs is fetched first: an encryption with a key for each item, fetched by a coroutine once for each page."""

import asyncio

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, streams, version
from dynamorm.effects import Call
from dynamorm.errors import AccessDenied, AlreadyExists, ConditionFailed, InvalidUse, Outcome, TransactionCancelled
from dynamorm.plugin import ReadRule

from .kit import stored

pytestmark = pytest.mark.engine


class Hidden:
    """An attribute that is encrypted."""


class Card(Model, table="cards"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    holder: Attr[str] = attr(Hidden(), default="")
    name: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Plain(Model, table="cards"):
    """The table, for who has no plugin."""

    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Plain]


class KeyService:
    """Gives a key by its id, a while later. ``asked`` are the ids, call by call."""

    def __init__(self):
        self.asked = []
        self.failing = None

    async def fetch(self, ids):
        """The keys of these ids."""
        await asyncio.sleep(0)
        self.asked.append(sorted(ids))
        if self.failing is not None:
            raise self.failing
        return {one: sum(one.encode()) % 26 for one in ids}


class Encryption:
    """Moves letters by a number that is fetched by its id, which is stored with them. A toy: it keeps no secret."""

    name = "encryption"
    options = (Hidden,)

    def __init__(self):
        self.service = KeyService()
        self.keys = {}
        self.current = "k1"

    def field(self, schema, field):
        if not any(isinstance(option, Hidden) for option in field.options):
            return None

        def encode(wire):
            return {"S": f"{self.current}:{moved(wire['S'], self.keys[self.current])}"}

        def decode(wire):
            of, _, text = wire["S"].partition(":")
            return {"S": moved(text, -self.keys[of])}

        return encode, decode

    def operation(self, next):
        def with_key(operation):
            yield from self.fetched({self.current})
            return (yield from next(operation))

        return with_key

    def read_rule(self, schema):
        return Keys(self) if schema.model is Card else None

    def fetched(self, ids):
        """Fetch what is not there."""
        missing = ids - self.keys.keys()
        if missing:
            self.keys |= yield Call(
                lambda: asyncio.run(self.service.fetch(missing)), lambda: self.service.fetch(missing)
            )


class Keys(ReadRule):
    def __init__(self, encryption):
        self.encryption = encryption

    def prepare(self, items, scope):
        texts = [wire["S"] for item in items if (wire := item.get("holder")) is not None]
        yield from self.encryption.fetched({text.partition(":")[0] for text in texts})


def moved(text, by):
    return "".join(chr((ord(one) - 97 + by) % 26 + 97) for one in text)


@pytest.fixture
def encrypted(plugged, key):
    """A database with three cards, each under a key of its own, and the plugin, which has forgotten them."""
    plugin = Encryption()
    db = plugged(plugin)
    for number in range(3):
        plugin.current = f"k{number}"
        card = db.create(Card(of=key, number=number, holder="abc", name=f"n{number}"))
        assert card.holder == "abc"
        assert stored(db, Card, key, number)["holder"]["S"] == f"k{number}:{moved('abc', plugin.keys[f'k{number}'])}"
    plugin.current = "k9"
    db.exists(Card, key, 99)  # the key that is written with is there; those of the items are not

    def forget():
        plugin.keys = {"k9": plugin.keys["k9"]}
        plugin.service.asked.clear()

    forget()
    return db, plugin, forget


READS = {
    "get": lambda db, key: [db.get(Card, key, 0), db.get(Card, key, 1), db.get(Card, key, 2)],
    "all": lambda db, key: db.model(Card).where(Card.of == key).all(),
    "iterate": lambda db, key: list(db.model(Card).where(Card.of == key).page_size(2)),
    "select": lambda db, key: db.model(Card).where(Card.of == key).select("holder").all(),
    "get selected": lambda db, key: [db.get(Card, key, number, select=["holder"]) for number in range(3)],
    "batch_get": lambda db, key: db.batch_get(Card, [(key, number) for number in range(3)]),
    "transact_get": lambda db, key: db.transact_get([(Card, key, number) for number in range(3)]),
    "scan": lambda db, key: sorted(
        db.model(Card).allow_scan().filter(Card.of == key).segments(2).all(), key=lambda card: card.number
    ),
    "partiql": lambda db, key: db.partiql('SELECT * FROM {table} WHERE "of" = ?', key, model=Card),
}


@pytest.mark.parametrize("read", READS)
def test_the_keys_of_a_page_are_fetched_together_before_it_is_decoded(encrypted, key, read):
    db, plugin, _ = encrypted
    found = READS[read](db, key)
    assert [card.holder for card in found] == ["abc"] * 3
    asked = plugin.service.asked
    assert sorted(one for ids in asked for one in ids) == ["k0", "k1", "k2"]  # each once
    if read in {"all", "select", "batch_get", "transact_get", "partiql"}:
        assert len(asked) == 1
    READS[read](db, key)
    assert len(plugin.service.asked) == len(asked)


def test_what_reads_no_item_fetches_nothing(encrypted, key):
    db, plugin, _ = encrypted
    assert db.model(Card).where(Card.of == key).count() == 3
    assert db.exists(Card, key, 0)
    assert db.get(Card, key, 77) is None
    assert plugin.service.asked == []


def test_the_results_of_writes(encrypted, key):
    db, _, forget = encrypted
    assert db.update(Card, key, 0, Card.name.set("x")).holder == "abc"
    forget()
    card = db.get(Card, key, 1)
    card.name = "y"
    db.save(card)
    assert db.get(Card, key, 1).holder == "abc"
    forget()
    assert db.put(Card(of=key, number=2, holder="xyz"), returning="old").holder == "abc"
    assert db.get(Card, key, 2).holder == "xyz"


def test_the_items_in_refusals(encrypted, key):
    db, _, forget = encrypted
    with pytest.raises(AlreadyExists) as refused:
        db.create(Card(of=key, number=0))
    assert refused.value.item.holder == "abc"
    forget()
    with pytest.raises(ConditionFailed) as refused:
        db.update(Card, key, 1, Card.name.set("z"), condition=Card.name == "other")
    assert refused.value.item.holder == "abc"
    forget()

    def together():
        with db.transaction() as tx:
            tx.create(Card(of=key, number=1))
            tx.create(Card(of=key, number=2))

    with pytest.raises(TransactionCancelled) as cancelled:
        together()
    assert [reason.item.holder for reason in cancelled.value.reasons] == ["abc", "abc"]


def test_what_cannot_be_fetched_is_the_error_of_the_read(encrypted, key):
    db, plugin, _ = encrypted
    plugin.service.failing = AccessDenied("no such key")
    with pytest.raises(AccessDenied, match="no such key"):
        db.get(Card, key, 0)
    with pytest.raises(AccessDenied, match="no such key"):
        db.model(Card).where(Card.of == key).all()


def test_what_cannot_be_fetched_behind_a_write_says_that_it_was_applied(encrypted, key):
    db, plugin, _ = encrypted
    plugin.service.failing = AccessDenied("no such key")
    with pytest.raises(AccessDenied) as failed:
        db.update(Card, key, 0, Card.name.set("applied"))
    assert failed.value.outcome is Outcome.APPLIED
    assert stored(db, Card, key, 0)["name"] == {"S": "applied"}


def test_what_cannot_be_fetched_behind_a_refusal_changes_nothing_of_it(encrypted, key, caplog):
    db, plugin, _ = encrypted
    plugin.service.failing = AccessDenied("no such key")
    with pytest.raises(AlreadyExists):
        db.create(Card(of=key, number=0))
    assert "could not be prepared" in caplog.text


def record_of(db, key, number, *names):
    """A stream record of a card as it is stored."""
    item = stored(db, Card, key, number)
    return {
        "eventName": "MODIFY",
        "dynamodb": {
            "Keys": {name: item[name] for name in ("of", "number")},
            **dict.fromkeys(names, item),
            "SequenceNumber": "1",
        },
    }


def processed(record, db):
    seen = []
    failures = []
    streams.process({"Records": [record]}, Card, seen.append, db=db, on_error=lambda _, error: failures.append(error))
    if failures:
        raise failures[0]
    return seen[0]


DECODED = {
    "decode": lambda record, db: streams.decode(record, Card, db=db),
    "decode_event": lambda record, db: next(iter(streams.decode_event({"Records": [record]}, Card, db=db))),
    "process": processed,
}


@pytest.mark.parametrize("way", DECODED)
def test_a_stream_record_is_prepared_for_before_it_is_decoded(encrypted, key, way, face_kind):
    db, plugin, _ = encrypted
    record = record_of(db, key, 1, "NewImage", "OldImage")
    plugin.service.asked.clear()
    if face_kind == "asyncio":
        with pytest.raises(InvalidUse, match=r"by db\.stream\(\.\.\.\), or pass a blocking DB"):
            DECODED[way](record, db.inner)
        db.get(Card, key, 1)  # fetches the key, and then nobody must wait
    found = DECODED[way](record, db.inner)
    assert (found.new.holder, found.old.holder) == ("abc", "abc")
    assert plugin.service.asked == [["k1"]]


def test_what_fails_to_be_prepared_for_a_record_is_its_error(encrypted, key, face_kind):
    db, plugin, _ = encrypted
    record = record_of(db, key, 1, "NewImage")
    plugin.service.failing = AccessDenied("no key for you")
    with pytest.raises(InvalidUse if face_kind == "asyncio" else AccessDenied):
        streams.decode(record, Card, db=db.inner)
    assert streams.decode(record_of(db, key, 1), Card, db=db.inner).new is None  # it holds no image
