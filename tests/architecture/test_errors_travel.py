"""Every exception of the package survives pickle and copy, and a pool of processes hands it on."""

import contextlib
import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil

import pytest

import dynamorm
from dynamorm import Attr, ConditionFailed, Model, Outcome, OutcomeUnknown, Unique, attr, errors, partition_key
from dynamorm.effects import TransportError
from dynamorm.errors import CancellationReason, DuplicateKey, DynamORMError, TransactionCancelled
from tests.faults.conftest import scripted  # noqa: F401 - the fixture of that name
from tests.support.workers import fail

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
SECRET = "4111-1111"


SAMPLES = {
    "attempts": 3,
    "code": "ErrSample",
    "detail": "reset by peer",
    "earlier": (
        TransportError("receive", "reset", sent=True, fresh=False),
        errors.ServerError("no answer", attempts=1),
    ),
    "existing": ("id",),
    "fatal": True,
    "fresh": False,
    "key": ("id",),
    "limit": 400,
    "message": "what happened",
    "old": lambda: "what is stored",
    "outcome": Outcome.APPLIED,
    "reasons": (None, CancellationReason("ConditionalCheckFailed", "refused", position=1, error=ConditionFailed("no"))),
    "resolver": lambda _: Outcome.APPLIED,
    "retry_after": 2.5,
    "retryable": True,
    "sent": True,
    "size": 500,
    "stage": "receive",
    "value": SECRET,
}
"""An argument of each name; of a name that is not listed, a text."""

BEHIND = {"_resolver", "plan", "result", "value"}
"""Attributes that a pickle leaves behind."""


def exceptions():
    """Every exception class of the package, the testing tools included."""
    for module in pkgutil.walk_packages(dynamorm.__path__, "dynamorm."):
        if not module.name.endswith(("__main__", "pytest_plugin")):
            with contextlib.suppress(ImportError):  # an adapter to what is not installed
                importlib.import_module(module.name)
    found, new = set(), {BaseException}
    while new:
        new = {sub for cls in new for sub in cls.__subclasses__()} - found
        found |= new
    ours = {cls for cls in found if cls.__module__.startswith("dynamorm.")}
    return sorted(ours, key=lambda cls: (cls.__module__, cls.__qualname__))


def sample(cls):
    """An instance with a value for every argument that the class and its bases take."""
    arguments = {}
    for base in reversed(cls.__mro__):
        init = base.__dict__.get("__init__")
        if base.__module__.startswith("dynamorm.") and init is not None:
            for name, parameter in list(inspect.signature(init).parameters.items())[1:]:
                if parameter.kind is not parameter.VAR_KEYWORD:
                    arguments[name] = SAMPLES.get(name, f"a {name}")
    if "__init__" in cls.__dict__:
        own = inspect.signature(cls.__init__).parameters
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in own.values()):
            arguments = {name: value for name, value in arguments.items() if name in own}
    if cls.__name__ == "MustRead":
        arguments["plan"] = a_plan()
        arguments["key"] = SECRET.encode()
    error = cls(**arguments) if arguments else cls("what happened")
    error.add_note("a note")
    return error


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    number: Attr[str] = attr(Unique())


def a_plan():
    with dynamorm.DB(dynamorm.Presets.local_development()) as db:
        return db._session.plan(Payment)


def text(value):
    """A form of an attribute that can be compared: errors have no equality of their own."""
    if isinstance(value, BaseException):
        return (type(value), value.args, text(value.__dict__))
    if isinstance(value, CancellationReason):
        return [text(getattr(value, name)) for name in CancellationReason.__slots__ if name != "_old"]
    if isinstance(value, (tuple, list)):
        return [text(one) for one in value]
    return {name: text(one) for name, one in value.items()} if isinstance(value, dict) else value


EXCEPTIONS = exceptions()


@pytest.mark.parametrize("cls", EXCEPTIONS, ids=lambda cls: cls.__qualname__)
def test_every_exception_survives_pickle_without_what_may_be_protected(cls):
    error = sample(cls)
    for protocol in PROTOCOLS:
        data = pickle.dumps(error, protocol)
        assert SECRET.encode() not in data
        twin = pickle.loads(data)
        assert type(twin) is cls
        assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)
        assert twin.__dict__.keys() == error.__dict__.keys()
        for name, value in error.__dict__.items():
            if name == "_old":
                assert twin.item == error.item == "what is stored"
                continue
            behind = name in BEHIND or isinstance(value, bytes)
            assert text(twin.__dict__[name]) == (None if behind else text(value)), name
        assert twin.__notes__ == ["a note"]


@pytest.mark.parametrize(
    "cls", [cls for cls in EXCEPTIONS if issubclass(cls, DynamORMError)], ids=lambda cls: cls.__qualname__
)
def test_an_error_that_says_what_it_is_about_is_still_itself_and_travels(cls):
    error = sample(cls)
    before = dict(error.__dict__)
    assert error.about("keys[3]").about("the second request") is error
    assert error.message == f"the second request: keys[3]: {before['message']}"
    assert error.args == (error.message,)
    assert error.safe.endswith(error.message)
    assert text({**error.__dict__, "message": None}) == text({**before, "message": None})
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (str(twin), twin.message, twin.args) == (str(error), error.message, error.args)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", EXCEPTIONS, ids=lambda cls: cls.__qualname__)
def test_every_exception_survives_a_copy_with_all_that_it_has(cls, how):
    error = sample(cls)
    twin = how(error)
    assert twin is not error
    assert type(twin) is cls
    assert (str(twin), twin.args) == (str(error), error.args)
    if issubclass(cls, (DynamORMError, TransportError)):
        assert text(twin.__dict__) == text(error.__dict__)
    if issubclass(cls, DynamORMError):
        twin.add_note("another")
        assert error.__notes__ == ["a note"]


def test_a_copy_keeps_item_key_and_resolver():
    cause = ValueError("why")
    error = DuplicateKey("taken", old=lambda: SECRET, existing=(SECRET,), field="number")
    error.__cause__ = cause
    reason = CancellationReason("ConditionalCheckFailed", old=lambda: SECRET, error=error)
    for how in (copy.copy, copy.deepcopy):
        twin = how(error)
        assert (twin.item, twin.existing, twin.field, twin.__cause__) == (SECRET, (SECRET,), "number", cause)
        assert how(reason).item == SECRET
        assert how(TransactionCancelled("no", reasons=[reason])).reasons[0].item == SECRET
        assert how(OutcomeUnknown("sent", resolver=lambda _: Outcome.APPLIED)).resolve() is Outcome.APPLIED


def test_a_deep_copy_shares_nothing_that_changes():
    error = errors.ServerError("no answer", earlier=[errors.ServerError("first")])
    twin = copy.deepcopy(error)
    twin.earlier[0].add_note("of the copy")
    assert not hasattr(error.earlier[0], "__notes__")


class Stubborn(Exception):
    """Can be pickled and not unpickled, as many are."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def test_what_cannot_travel_does_not_keep_the_error_from_arriving():
    class Local(Exception):
        pass

    error = errors.ServerError("no answer", earlier=[Stubborn("a", "b"), Local("c"), errors.ServerError("d")])
    error.handle = open
    error.lock = multiprocessing.get_context("spawn").Lock()
    twin = pickle.loads(pickle.dumps(error))
    assert [str(one) for one in twin.earlier] == ["Stubborn: a b", f"{Local.__qualname__}: c", "d"]
    assert twin.handle is open
    assert twin.lock is None


def test_an_unpickled_unknown_outcome_says_that_it_cannot_ask(scripted):  # noqa: F811 - the fixture
    db = scripted(lambda _: TransportError("receive", "reset", sent=True)).db
    with pytest.raises(OutcomeUnknown) as caught:
        db.put(Plain(id="p1"))
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.outcome is Outcome.UNKNOWN
    assert [type(one) for one in error.earlier] == [TransportError] * error.attempts
    with pytest.raises(OutcomeUnknown, match="in the process that made the write") as again:
        error.resolve(5)  # on AsyncDB it would be awaited, and is told the same before
    assert (again.value.token, again.value.key, again.value.__cause__) == (error.token, error.key, error)
    assert caught.value.resolve(5) is Outcome.UNKNOWN


class Plain(Model, table="plain"):
    id: Attr[str] = partition_key()


@pytest.fixture(scope="module")
def pool():
    with multiprocessing.get_context("spawn").Pool(1) as running:
        yield running


@pytest.mark.parametrize("name", ["ConnectFailed", "Unavailable", "OutcomeUnknown"])
def test_a_pool_of_processes_hands_the_error_on_within_seconds(pool, name):
    with pytest.raises(DynamORMError) as caught:
        pool.apply_async(fail, (name,)).get(60)
    assert type(caught.value).__name__ == name
    assert len(caught.value.earlier) == caught.value.attempts > 1
    assert {type(one) for one in caught.value.earlier} == {TransportError}
