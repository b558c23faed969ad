"""The two faces are one: what the blocking face offers, the asyncio face offers under the same name with the same words."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator

import pytest

import dynamorm.faces.aio.db
import dynamorm.faces.blocking.db

# The one pair of names that Python itself spells differently.
SPELLED = {"aclose": "close"}


def classes(face):
    """The classes of a face by their names: those that are written in one of its modules, not what they import."""
    modules = [importlib.import_module(f"{face.__name__}.{each.name}") for each in pkgutil.iter_modules(face.__path__)]
    return {
        name: thing
        for module in modules
        for name, thing in vars(module).items()
        if isinstance(thing, type) and thing.__module__ == module.__name__
    }


BLOCKING = classes(dynamorm.faces.blocking)
ASYNCIO = classes(dynamorm.faces.aio)


def pairs_of_classes():
    """(blocking class, asyncio class): each class ``X`` of the blocking face, and its ``AsyncX``."""
    for name, blocking in sorted(BLOCKING.items()):
        yield pytest.param(blocking, ASYNCIO[f"Async{name}"], id=name)


PAIRS = list(pairs_of_classes())


def members(cls):
    """Public members by their common name; the protocols of ``with`` and ``for`` differ by nature and are left out."""
    public = {name for base in cls.__mro__[:-1] for name in vars(base) if not name.startswith("_")}
    return {SPELLED.get(name, name): inspect.getattr_static(cls, name) for name in public}


def same_words(text):
    """Text with what must differ between the faces taken out: ``await``, ``async with`` and the names of the classes."""
    text = re.sub(r"\ban (?=``async )", "a ", text or "")
    while match := re.search(r"(?<!\w)\(await ", text):  # what is awaited before something is taken of it
        text = text[: match.start()] + without_closing(text[match.end() :])
    return re.sub(r"\b(await|async) |\bAsync(?=[A-Z])|\ba(?=close\b)", "", text)


def without_closing(text):
    """Text without the bracket that closes one which was opened before it."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[:place] + text[place + 1 :]
    raise AssertionError(f"nothing closes the bracket before {text!r}")


def kind(member):
    """How the member is reached: as a property, on the class, without either, or, for all the rest, on the instance."""
    return next((each for each in (property, classmethod, staticmethod) if isinstance(member, each)), None)


def parameters(member):
    """(name, kind, default, annotation) of each parameter, or None for what cannot be called."""
    function = getattr(member, "__func__", member)
    if isinstance(function, property):
        return None
    if not callable(function):
        return None
    return [
        (each.name, each.kind.description, repr(each.default), same_words(inspect.formatannotation(each.annotation)))
        for each in inspect.signature(function).parameters.values()
    ]


def test_both_faces_are_compared():
    assert {"DB", "Many", "Query", "Tables"} <= {pair.id for pair in PAIRS}
    assert {pair.id for pair in PAIRS} == {
        "DB",
        "Groups",
        "Lease",
        "Loading",
        "Many",
        "Query",
        "Shipped",
        "StreamReader",
        "Tables",
        "Transaction",
        "Updating",
    }
    assert {f"Async{name}" for name in BLOCKING} == set(ASYNCIO)


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_names(blocking, asynchronous):
    assert sorted(members(blocking)) == sorted(members(asynchronous))


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_kind_of_member(blocking, asynchronous):
    other = members(asynchronous)
    different = [
        name for name, member in members(blocking).items() if name in other and kind(member) is not kind(other[name])
    ]
    assert not different


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_parameters(blocking, asynchronous):
    other = members(asynchronous)
    different = {
        name: (parameters(member), parameters(other[name]))
        for name, member in members(blocking).items()
        if name in other and parameters(member) != parameters(other[name])
    }
    assert not different


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_answers(blocking, asynchronous):
    """What a method returns, and how: a value is awaited, an iterator is an asynchronous one."""
    other = members(asynchronous)
    different = {
        name: (answer(member), answer(other[name]))
        for name, member in members(blocking).items()
        if name in other and answer(member) != answer(other[name])
    }
    assert not different


def answer(member):
    """(annotation, whether it is made one by one), for functions and properties; None for all the rest."""
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    if not inspect.isfunction(function):
        return None
    one_by_one = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return same_words(inspect.formatannotation(inspect.signature(function).return_annotation)), one_by_one


PROTOCOLS = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_protocols(blocking, asynchronous):
    """A block of one face is an asynchronous block of the other, with the same words."""
    for name, other in PROTOCOLS.items():
        one, two = vars(blocking).get(name), vars(asynchronous).get(other)
        assert (one is None) == (two is None)
        if one is not None:
            assert answer(one) == answer(two)
            assert parameters(one) == parameters(two)
            assert same_words(inspect.getdoc(one)) == same_words(inspect.getdoc(two))
            assert inspect.iscoroutinefunction(two) or inspect.isasyncgenfunction(two)
            assert not inspect.iscoroutinefunction(one)
            assert not inspect.isasyncgenfunction(one)


def test_iterators_are_asynchronous_ones():
    assert answer(BLOCKING["Query"].pages) == answer(ASYNCIO["AsyncQuery"].pages)
    assert inspect.signature(BLOCKING["Query"].pages).return_annotation == "Iterator[Page[M]]"
    assert dynamorm.faces.blocking.query.Iterator is Iterator
    assert dynamorm.faces.aio.query.AsyncIterator is AsyncIterator
    assert inspect.signature(ASYNCIO["AsyncQuery"].pages).return_annotation == "AsyncIterator[Page[M]]"


def test_the_words_are_compared_as_they_are_meant():
    assert same_words("(await db.f(x, g(y))).z or print(await db.f(1))") == "db.f(x, g(y)).z or print(db.f(1))"
    assert same_words("an ``async with`` block of AsyncDB") == "a ``with`` block of DB"


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_constructor(blocking, asynchronous):
    assert parameters(blocking.__init__) == parameters(asynchronous.__init__)


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_the_same_docstrings(blocking, asynchronous):
    other = members(asynchronous)
    different = [
        name
        for name, member in members(blocking).items()
        if name in other
        and same_words(inspect.getdoc(getattr(member, "__func__", member)))
        != same_words(inspect.getdoc(getattr(other[name], "__func__", other[name])))
    ]
    assert not different


@pytest.mark.parametrize(
    ("face", "protocol"),
    [
        (dynamorm.faces.blocking.db.DB, ("__enter__", "__exit__")),
        (dynamorm.faces.aio.db.AsyncDB, ("__aenter__", "__aexit__")),
    ],
)
def test_each_face_is_a_context_manager_of_its_kind(face, protocol):
    assert all(callable(getattr(face, name, None)) for name in protocol)
