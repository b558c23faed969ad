"""Every public name is documented: modules, classes, functions, methods and properties, without an exception."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import types

import pytest

# Where a user's names come from; whatever can be reached from them by public names is public.
PUBLIC_MODULES = (
    "dynamorm",
    "dynamorm.errors",
    "dynamorm.config.settings",
    "dynamorm.testing",
    "dynamorm.adapters",
    "dynamorm.export",
    "dynamorm.payments",
)


def is_ours(thing):
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "dynamorm"


def is_public(name):
    return not name.startswith("_")


def names_of(module):
    listed = getattr(module, "__all__", None)
    return listed if listed is not None else [name for name in vars(module) if is_public(name)]


def undocumented(module):
    """Yield the dotted name of each public thing in ``module`` that has no docstring of its own."""
    if not (module.__doc__ or "").strip():
        yield module.__name__
    for name in names_of(module):
        thing = getattr(module, name)
        path = f"{module.__name__}.{name}"
        if isinstance(thing, types.ModuleType) or not is_ours(thing):
            continue
        if isinstance(thing, type):
            yield from undocumented_in_class(thing, path)
        elif inspect.isroutine(thing) and not has_text(thing.__doc__):
            yield path
        home = sys.modules.get(thing.__module__)
        if home is not None and not has_text(home.__doc__):
            yield home.__name__


def undocumented_in_class(cls, path):
    if not has_text(class_docstring(cls)):
        yield path
    for name in sorted({name for base in cls.__mro__ if is_ours(base) for name in vars(base)}):
        if not is_public(name):
            continue
        # An override that keeps the promise of the base class may keep its docstring too.
        versions = [vars(base)[name] for base in cls.__mro__ if name in vars(base)]
        if any(is_documentable(version) for version in versions[:1]) and not any(
            has_text(member_docstring(version)) for version in versions
        ):
            yield f"{path}.{name}"


def class_docstring(cls):
    text = vars(cls).get("__doc__")
    # A dataclass without a docstring gets its signature as one, an enum a stock phrase.
    generated = isinstance(text, str) and (text.startswith(f"{cls.__name__}(") or text == "An enumeration.")
    return None if generated else text


def is_documentable(member):
    if isinstance(member, (staticmethod, classmethod)):
        member = member.__func__
    return isinstance(member, (property, functools.cached_property, types.FunctionType))


def member_docstring(member):
    if isinstance(member, (staticmethod, classmethod)):
        member = member.__func__
    return member.__doc__ if is_documentable(member) else None


def has_text(docstring):
    return isinstance(docstring, str) and bool(docstring.strip())


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_public_name_is_documented(name):
    missing = sorted(set(undocumented(importlib.import_module(name))))
    assert not missing, f"{len(missing)} without a docstring:\n" + "\n".join(missing)


def test_the_check_finds_what_is_missing():
    """The check itself: each kind of undocumented thing is named, and documented ones are not."""
    module = types.ModuleType("dynamorm_sample")
    namespace = {"functools": functools, "__name__": "dynamorm"}
    exec(SAMPLE, namespace)
    for name in ("Silent", "Spoken", "Child", "silent", "spoken"):
        setattr(module, name, namespace[name])
    assert sorted(set(undocumented(module)) - {"dynamorm"}) == [
        "dynamorm_sample",
        "dynamorm_sample.Silent",
        "dynamorm_sample.Silent.cached",
        "dynamorm_sample.Silent.made",
        "dynamorm_sample.Silent.method",
        "dynamorm_sample.Silent.value",
        "dynamorm_sample.silent",
    ]


SAMPLE = '''
class Silent:
    def method(self): pass
    @classmethod
    def made(cls): pass
    @property
    def value(self): pass
    @functools.cached_property
    def cached(self): pass
    def _private(self): pass

class Spoken:
    """Says so."""
    constant = 1
    def method(self):
        """Does it."""

class Child(Spoken):
    """Keeps the promise of its base."""
    def method(self): pass

def silent(): pass

def spoken():
    """Says so."""
'''
