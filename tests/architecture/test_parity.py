"""The two faces are one: what the blocking face offers, the asyncio face offers under the same name with the same words."""

from __future__ import annotations

import inspect
import re

import pytest

import dynamorm.faces.aio.db
import dynamorm.faces.aio.query
import dynamorm.faces.aio.tables
import dynamorm.faces.blocking.db
import dynamorm.faces.blocking.query
import dynamorm.faces.blocking.tables

# The one pair of names that Python itself spells differently.
SPELLED = {"aclose": "close"}


def pairs_of_classes():
    """(blocking class, asyncio class) for DB and for every other class that exists as ``X`` and ``AsyncX``.

    The classes that a face loads with their first use are looked for in the modules they are in.
    """
    blocking_names = (
        vars(dynamorm.faces.blocking.tables) | vars(dynamorm.faces.blocking.query) | vars(dynamorm.faces.blocking.db)
    )
    async_names = vars(dynamorm.faces.aio.tables) | vars(dynamorm.faces.aio.query) | vars(dynamorm.faces.aio.db)
    for name, asynchronous in sorted(async_names.items()):
        blocking = blocking_names.get(name.removeprefix("Async"))
        if name.startswith("Async") and isinstance(asynchronous, type) and isinstance(blocking, type):
            yield pytest.param(blocking, asynchronous, id=blocking.__name__)


PAIRS = list(pairs_of_classes())


def members(cls):
    """Public members by their common name; the protocols of ``with`` and ``for`` differ by nature and are left out."""
    public = {name for base in cls.__mro__[:-1] for name in vars(base) if not name.startswith("_")}
    return {SPELLED.get(name, name): inspect.getattr_static(cls, name) for name in public}


def same_words(text):
    """Text with what must differ between the faces taken out: ``await``, ``async with`` and the names of the classes."""
    return re.sub(r"\b(await|async) |\bAsync(?=[A-Z])|\ba(?=close\b)", "", text or "")


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
