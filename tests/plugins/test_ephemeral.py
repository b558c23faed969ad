"""Ephemeral values, and canaries: what is secret reaches no table, log, trace, pickle, cache, spool, exception or picture of an object."""

import base64
import copy
import dataclasses
import gc
import io
import json
import logging
import pickle
import sys
import time
import traceback

import pytest

from dynamorm import (
    DB,
    Attr,
    BatchConfig,
    Cache,
    Encrypted,
    Ephemeral,
    Model,
    Presets,
    Secret,
    attr,
    partition_key,
    version,
)
from dynamorm.errors import DynamORMError, EphemeralGone, InvalidUse, ModelError, ValidationError
from dynamorm.plugins import EncryptionPlugin, LoggingPlugin
from dynamorm.plugins.encryption import secret as secret_module

from .encryption_kit import Provider

CVV, PAN = "907-cvv-canary", "4929-pan-canary-0001"


class Card(Model, table="ephemeral-cards"):
    token: Attr[str] = partition_key()
    last4: Attr[str] = attr(default="")
    number: Attr[str] = attr(Encrypted("pci"))
    cvv: Attr[Secret | None] = attr(Encrypted("pci"), Ephemeral(), default=None)
    version: Attr[int] = version()


class Text(Model, table="ephemeral-texts"):
    id: Attr[str] = partition_key()
    code: Attr[str | None] = attr(Ephemeral(), default=None)


class Go(Model, table="ephemeral-cards"):
    """The items as another program may have stored them."""

    token: Attr[str] = partition_key()
    number: Attr[bytes | None] = attr(default=None)
    cvv: Attr[str | None] = attr(default=None)
    last4: Attr[str] = attr(default="")


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Go)
        db.tables.create(Text)
    return prefix


@pytest.fixture(scope="module")
def provider():
    return Provider()


@pytest.fixture
def db(plugged, provider):
    return plugged(EncryptionPlugin(provider))


def test_it_is_revealed_once_and_wiped():
    secret = Secret(CVV)
    with secret.reveal() as view:
        assert bytes(view) == CVV.encode()
        assert view.readonly
        held = view[:3]
    assert bytes(held) == b"\0\0\0"
    with pytest.raises(EphemeralGone) as gone, secret.reveal():
        pass
    assert gone.value.code == "ErrEphemeralGone"
    assert not gone.value.retryable


def test_it_is_wiped_also_where_its_block_fails():
    secret = Secret(b"123")
    kept = []
    with pytest.raises(ZeroDivisionError), secret.reveal() as view:
        kept.append(view) or 1 / 0
    with pytest.raises(ValueError, match="released"):
        bytes(kept[0])


def test_it_ends_after_a_minute(monkeypatch):
    secret = Secret("123")
    now = time.monotonic()
    monkeypatch.setattr(secret_module, "monotonic", lambda: now + 61)
    with pytest.raises(EphemeralGone, match="60 s"), secret.reveal():
        pass


def test_it_is_shown_and_kept_nowhere():
    secret = Secret(CVV)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>5}", "%s" % secret, repr([secret]), repr({"a": secret})]  # noqa: UP031
    assert all(CVV not in text and "<ephemeral>" in text for text in shown)
    for other in (pickle.loads(pickle.dumps(secret)), copy.copy(secret), copy.deepcopy(secret)):
        with pytest.raises(EphemeralGone), other.reveal():
            pass
    assert CVV.encode() not in pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret != Secret(CVV)
    with secret.reveal() as view:
        assert bytes(view) == CVV.encode()


@pytest.mark.parametrize("wrong", [5, 5.0, ["1"], object()])
def test_what_is_no_secret(wrong):
    with pytest.raises(ValidationError, match="text or bytes"):
        Secret(wrong)


def test_a_field_holds_a_secret_of_what_it_is_given(db, key):
    card = Card(token=key, number=PAN, cvv=CVV)
    assert isinstance(card.cvv, Secret)
    assert Card(token=key, number=PAN).cvv is None
    card.cvv = "124"
    assert isinstance(card.cvv, Secret)
    assert repr(card) == f"Card(token={key!r}, last4='', number=<encrypted>, cvv=<ephemeral>, version=0)"
    assert isinstance(Text(id=key, code="1").code, Secret)
    assert Text(id=key, code="1") == Text(id=key, code="2")


def test_it_is_never_stored(db, key):
    card = db.create(Card(token=key, number=PAN, cvv=CVV))
    assert db.get(Go, key).cvv is None
    card.last4 = "0001"
    db.save(card)
    card.cvv = CVV
    assert db.save(card).version == 1
    db.update(card, Card.last4.set("2"))
    db.put(card)
    with db.transaction() as tx:
        tx.put(card)
    db.batch_write(puts=[card])
    with db.new_batcher(BatchConfig(max_wait=0.01)) as batcher:
        batcher.add(card)
    assert db.get(Go, key).cvv is None
    with card.cvv.reveal() as cvv:
        assert bytes(cvv) == CVV.encode()


def test_a_loaded_object_has_none(db, key):
    db.create(Card(token=key, number=PAN, cvv=CVV))
    for card in (
        db.get(Card, key),
        db.model(Card).where(Card.token == key).one(),
        db.batch_get(Card, [key])[0],
        db.update(Card, key, Card.last4.set("1")),
    ):
        with pytest.raises(EphemeralGone), card.cvv.reveal():
            pass


def test_what_another_program_stored_is_not_read_and_goes(db, key):
    for write in (
        db.put,
        lambda card: (setattr(card, "last4", "9"), db.save(card)),
        lambda card: db.update(card, Card.last4.set("8")),
        lambda card: db.update(Card, key, Card.last4.set("7")),
    ):
        db.put(Card(token=key, number=PAN))
        db.update(Go, key, Go.cvv.set(CVV))
        card = db.get(Card, key)
        with pytest.raises(EphemeralGone), card.cvv.reveal():
            pass
        write(card)
        assert db.get(Go, key).cvv is None


def test_no_expression_names_it(db, key):
    for act in (
        lambda: db.update(Card, key, Card.cvv.set("1")),
        lambda: db.put(Card(token=key, number=PAN), condition=Card.cvv == "1"),
        lambda: db.model(Card).where(Card.token == key).where(Card.cvv == "1").all(),
    ):
        with pytest.raises(ModelError, match=r"Card\.cvv is never stored"):
            act()


def test_a_pickle_of_what_is_encrypted_is_refused(db, key):
    card = Card(token=key, number=PAN, cvv=CVV)
    with pytest.raises(InvalidUse, match="in the clear"):
        pickle.dumps(card)
    for other in (copy.copy(card), copy.deepcopy(card)):
        assert other.number == PAN
        assert other.token == key
    assert CVV.encode() not in pickle.dumps(Text(id=key, code=CVV))
    assert PAN not in str(dataclasses.asdict(card))
    assert CVV not in str(dataclasses.asdict(card))


def forms(canary):
    """The canary in every form in which it might be found."""
    raw = canary if isinstance(canary, bytes) else canary.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw).decode()
        found.add(text[4 * (shift > 0) : len(text) - 4].encode())
    if not isinstance(canary, bytes):
        found |= {canary.encode("utf-16-le"), canary.encode("utf-16-be")}
        found |= {"".join(f"\\u{ord(letter):04x}" for letter in canary).encode(), json.dumps(canary)[1:-1].encode()}
    return found


def ours(error):
    """The variables of the frames of the library in a traceback, as tools show them."""
    shown = []
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/dynamorm/" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename:
                shown += [f"{name}={value!r}" for name, value in frame.f_locals.items()]
        shown.append("".join(traceback.format_exception_only(error)))
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


def test_no_canary_is_found_anywhere(plugged, provider, key, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logging.getLogger().addHandler(handler)
    db = plugged(EncryptionPlugin(provider), LoggingPlugin(logging.getLogger("canary")), Cache())
    raised = []
    stored = []
    try:
        card = db.create(Card(token=key, number=PAN, cvv=CVV))
        card.last4 = "0001"
        db.save(card)
        db.get(Card, key)
        db.get(Card, key)
        db.update(Card, key, Card.number.set(PAN))
        db.model(Card).where(Card.token == key).all()
        with db.transaction() as tx:
            tx.put(Card(token=key + "t", number=PAN, cvv=CVV))
        db.batch_write(puts=[Card(token=f"{key}{at}", number=PAN, cvv=CVV) for at in range(3)])
        with db.new_batcher(BatchConfig(spool_dir=tmp_path, max_wait=0.3)) as batcher:
            batcher.add(Card(token=key + "s", number=PAN, cvv=CVV))
            stored += [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        for fails in (
            lambda: db.create(Card(token=key, number=PAN, cvv=CVV)),
            lambda: db.update(Card, key, Card.number.set(PAN), condition=Card.last4 == "none"),
            lambda: db.update(Card, key + "none", Card.number.set(PAN)),
            lambda: db.put(Card(token=key, number=PAN), condition=Card.number == PAN),
            lambda: db.update(Card, key, Card.cvv.set(CVV)),
        ):
            try:
                fails()
            except DynamORMError as error:
                raised.append(f"{error}{error!r}{error.safe}{pickle.dumps(error)!r}")
        raised.append(repr(db.explain(lambda db: db.put(Card(token=key, number=PAN, cvv=CVV)))))
        raw = db.get(Go, key)
        stored += [repr(raw).encode(), str(db.gauges()).encode(), str(db.metrics()).encode()]
    finally:
        logging.getLogger().removeHandler(handler)
    seen = b"\n".join([*stored, *(text.encode() for text in raised), out.getvalue().encode(), caplog.text.encode()])
    assert len(raised) >= 5
    assert stored
    assert out.getvalue()
    branches = [plain for plain, _ in provider.made.values()]
    for canary in (CVV, PAN, *branches):
        for form in forms(canary):
            assert form not in seen


def test_the_search_finds_a_canary():
    for text in (
        CVV,
        base64.b64encode(b"x" + CVV.encode()).decode(),
        CVV.encode().hex(),
        CVV.encode("utf-16-le").decode("latin-1"),
    ):
        assert any(form in text.encode("latin-1") for form in forms(CVV))


def test_no_frame_of_ours_holds_an_ephemeral_value_where_an_error_is_raised(db, key):
    db.create(Card(token=key, number=PAN))
    failures = []
    for fails in (
        lambda: Card(token=key, cvv=CVV),
        lambda: Card(token=key, number=PAN, cvv=CVV, nonsense=1),
        lambda: db.create(Card(token=key, number=PAN, cvv=CVV)),
    ):
        try:
            fails()
        except DynamORMError as error:
            failures.append(ours(error))
    assert len(failures) == 3
    assert not any(form.decode("latin-1") in text for text in failures for form in forms(CVV))


def test_a_secret_leaves_nothing_in_memory_of_its_own():
    secret = Secret(CVV)
    data = secret._data
    assert bytes(data) == CVV.encode()
    del secret
    gc.collect()
    assert bytes(data) == bytes(len(CVV))
    assert sys.getrefcount(data) <= 3
