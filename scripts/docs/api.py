"""Pages of the API reference: every public name of every public module, by its docstring.

A name that several modules offer is described once, and named by the others. What a database gives out, such as its query
builder, is public without a name to import: it is found by the types that public methods return.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import importlib.util
import inspect
import itertools
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODULES = {
    "dynamorm.errors": "Errors",
    "dynamorm": "The names of dynamorm",
    "dynamorm.plugins": "The plugins that are shipped",
    "dynamorm.plugins.audit": "Audit trail",
    "dynamorm.plugins.batcher": "Batcher",
    "dynamorm.plugins.breaker": "Circuit breaker",
    "dynamorm.plugins.cache": "Query cache",
    "dynamorm.plugins.cost": "Costs",
    "dynamorm.plugins.encryption": "Encryption",
    "dynamorm.plugins.hot_keys": "Hot keys",
    "dynamorm.plugins.idempotency": "Idempotent operations",
    "dynamorm.plugins.lint": "Hints during development",
    "dynamorm.plugins.metrics": "Metrics",
    "dynamorm.plugins.offload": "Large values in S3",
    "dynamorm.plugins.soft_delete": "Deletes that can be undone",
    "dynamorm.plugins.tenancy": "Tenants",
    "dynamorm.plugins.tenancy.fastapi": "Tenants in FastAPI",
    "dynamorm.plugins.tracing": "Tracing",
    "dynamorm.payments": "Payments",
    "dynamorm.payments.ledger": "The ledger",
    "dynamorm.payments.outbox": "The outbox",
    "dynamorm.plugin": "Writing plugins",
    "dynamorm.effects": "What flows of plugins yield",
    "dynamorm.config.settings": "Settings",
    "dynamorm.streams": "Streams",
    "dynamorm.leases": "Leases",
    "dynamorm.engine": "The engine",
    "dynamorm.testing": "Testing",
    "dynamorm.spread": "Scans over processes and machines",
    "dynamorm.export": "Tables for other tools",
    "dynamorm.capacity": "Capacity units",
    "dynamorm.adapters": "Classes that are no models",
    "dynamorm.adapters.fastapi": "FastAPI",
    "dynamorm.adapters.web": "Answers for the web",
}
"""The modules that users import from, in the order in which a name that several offer finds its page."""
FACES = {"DB": "The blocking database", "AsyncDB": "The database of asyncio"}
"""Classes with a page of their own."""
ROOTS = (
    "dynamorm.DB",
    "dynamorm.AsyncDB",
    "dynamorm.Model",
    "dynamorm.attr",
    "dynamorm.Attr",
    "dynamorm.payments",
    "dynamorm.streams",
    "dynamorm.leases",
    "dynamorm.engine",
)
"""Where what a program is given begins."""
FOREIGN = frozenset({"object", "Exception", "BaseException", "Struct", "str", "int", "tuple", "dict", "list", "type"})
"""Bases whose members are described elsewhere."""


def names_of(module: types.ModuleType) -> list[str]:
    """The public names of a module: those it lists, else those it makes."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and _has_place(thing) and thing.__module__.startswith(module.__name__)
    )


def errors_of() -> list[str]:
    """Every exception of the library by its name in ``dynamorm.errors``, those that are loaded late among them."""
    module = importlib.import_module("dynamorm.errors")
    names = {name for name in [*vars(module), *dir(module)] if not name.startswith("_")}
    return sorted(name for name in names if isinstance(getattr(module, name), type))


def documented() -> dict[str, Any]:
    """Each documented thing by the full name under which it is described: a public name, or what a database gives out."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for name in MODULES:
        importlib.import_module(name)
    for name in MODULES:
        module = importlib.import_module(name)
        for short in errors_of() if name == "dynamorm.errors" else names_of(module):
            thing = getattr(module, short)
            if isinstance(thing, types.ModuleType) or (_has_place(thing) and id(thing) in seen):
                continue
            seen.add(id(thing))
            found[f"{name}.{short}"] = thing
    for thing in list(_given(found)):
        found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


def _has_place(thing: Any) -> bool:
    return isinstance(thing, type) or inspect.isroutine(thing)


def _given(found: dict[str, Any]) -> Iterator[type]:
    """Classes of the library that methods of a database, and of the other roots, return, and what those return in turn."""
    known = {thing for thing in found.values() if isinstance(thing, type)}
    roots = (thing for name, thing in found.items() if name.startswith(ROOTS) and name.rpartition(".")[0] in MODULES)
    waiting = [thing for thing in roots if isinstance(thing, type) and not issubclass(thing, BaseException)]
    while waiting:
        for name, member in inspect.getmembers_static(waiting.pop()):
            for given in () if name.startswith("_") else _returned(member):
                if given not in known:
                    known.add(given)
                    waiting.append(given)
                    yield given


def _returned(member: Any) -> list[type]:
    """The classes of the library that the annotation of what a member returns names."""
    function = (
        member.fget if isinstance(member, property) else getattr(member, "func", getattr(member, "__func__", member))
    )
    if not inspect.isfunction(function) or not function.__module__.startswith("dynamorm."):
        return []
    names = re.findall(r"[A-Za-z_][A-Za-z_0-9]*", str(function.__annotations__.get("return", "")))
    imported = _imports(function.__module__)
    known = {name: getattr(importlib.import_module(imported[name]), name, None) for name in names if name in imported}
    things = (known.get(name, function.__globals__.get(name)) for name in names)
    return [
        thing
        for thing in things
        if isinstance(thing, type) and thing.__module__.startswith("dynamorm.") and not thing.__name__.startswith("_")
    ]


@functools.cache
def _imports(module: str) -> dict[str, str]:
    """Where each name of the library comes from that a module imports, also where only type checkers look."""
    found = sys.modules[module]
    package = module if hasattr(found, "__path__") else module.rpartition(".")[0]
    tree = ast.parse(Path(str(found.__file__)).read_bytes())
    imports = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            place = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            imports.update({alias.asname or alias.name: place for alias in node.names})
    return imports


def pages() -> dict[str, str]:
    """Each page of the reference by its place."""
    found = documented()
    made = {f"reference/api/{name}.rst": _module_page(name, title, found) for name, title in MODULES.items()}
    for name, title in FACES.items():
        made[f"reference/api/{name}.rst"] = "\n".join(
            [*_heading(f"{title}: {name}"), *_entry(f"dynamorm.{name}", found)]
        )
    public = tuple(f"{name}." for name in MODULES)
    given = [name for name in found if not name.startswith(public) or name.rpartition(".")[0] not in MODULES]
    text = "These are given out by a database, its queries and its plugins. A program does not make them, so it imports them at most for annotations."
    made["reference/api/given.rst"] = "\n".join(
        [
            *_heading("What a database gives out"),
            text,
            "",
            *(
                line
                for name in sorted(given, key=lambda one: one.rpartition(".")[2].lower())
                for line in _entry(name, found)
            ),
        ]
    )
    places = [*FACES, "given", *MODULES]
    made["reference/api/index.rst"] = "\n".join(
        [
            *_heading("API reference"),
            "Every public name, by its docstring. :doc:`DB` and :doc:`AsyncDB` have the same methods.",
            "",
            *(".. toctree::", "   :maxdepth: 1", ""),
            *(f"   {place}" for place in places),
            "",
        ]
    )
    return made


def _heading(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def _module_page(name: str, title: str, found: dict[str, Any]) -> str:
    module = importlib.import_module(name)
    lines = [*_heading(f"{title}: {name}"), f".. automodule:: {name}", "   :no-members:", ""]
    own = [full for full in found if full.rpartition(".")[0] == name]
    home = {id(thing): full for full, thing in found.items()}
    others = sorted(
        {home[id(getattr(module, short))] for short in names_of(module) if id(getattr(module, short)) in home}
        - set(own)
    )
    if name == "dynamorm":
        own = [full for full in own if full.rpartition(".")[2] not in FACES]
        others = sorted([*others, *(f"dynamorm.{face}" for face in FACES)])
    if others:
        lines += ["Described on other pages: " + ", ".join(f":py:obj:`~{full}`" for full in others) + ".", ""]
    lines += (line for full in sorted(own, key=str.lower) for line in _entry(full, found))
    for short in names_of(module):  # another name of what is described here
        full = home.get(id(getattr(module, short)), short)
        if full.rpartition(".")[2] != short:
            lines += [f".. py:data:: {name}.{short}", "", f"   The same as :py:obj:`~{full}`.", ""]
    return "\n".join(lines)


def _entry(name: str, found: dict[str, Any]) -> list[str]:
    thing = found[name]
    if isinstance(thing, type):
        error = issubclass(thing, BaseException)  # what all of them have is described once, with their base
        more = "   :show-inheritance:" if error else f"   :inherited-members: {', '.join(sorted(FOREIGN))}"
        return [f".. autoclass:: {name}", "   :members:", more, ""]
    if inspect.isroutine(thing):
        return [f".. autofunction:: {name}", ""]
    return [f".. py:data:: {name}", "", textwrap.indent(said_of(name), "   "), ""]


def said_of(name: str) -> str:
    """What stands behind the assignment of a constant or a type, in the module that makes it; empty where nothing does."""
    module, _, short = name.rpartition(".")
    thing = getattr(importlib.import_module(module), short)
    places = [module, *(place for place in sys.modules if place.startswith("dynamorm."))]
    for place in places:
        if vars(sys.modules[place]).get(short) is thing and (text := _assigned(place).get(short)):
            return text
    return inspect.getdoc(thing) or "" if type(thing).__module__.startswith("dynamorm.") else ""


@functools.cache
def _assigned(module: str) -> dict[str, str]:
    """The text behind each assignment of a module."""
    body = ast.parse(Path(str(sys.modules[module].__file__)).read_bytes()).body
    found = {}
    for one, behind in itertools.pairwise(body):
        target = (
            one.target if isinstance(one, ast.AnnAssign) else one.targets[0] if isinstance(one, ast.Assign) else None
        )
        if isinstance(target, ast.Name) and isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
            found[target.id] = inspect.cleandoc(str(behind.value.value))
    return found


def load_names_of_types() -> None:
    """Give each module of the library the names that it imports for type checkers only, so that signatures can be shown."""
    documented()
    for place, module in list(sys.modules.items()):
        if place.startswith("dynamorm.") and str(getattr(module, "__file__", "")).endswith(".py"):
            for name, home in _imports(place).items():
                if name not in vars(module):
                    with contextlib.suppress(ImportError, AttributeError):
                        setattr(module, name, getattr(importlib.import_module(home), name))


@functools.cache
def class_body(cls: type) -> ast.stmt:
    """The source of a class."""
    return ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]


def constructor_for_checkers(cls: type) -> ast.FunctionDef | None:
    """The ``__init__`` that a class shows to type checkers alone."""
    try:
        body = class_body(cls)
    except (OSError, TypeError):  # of a class without a source
        return None
    for block in getattr(body, "body", []):
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for one in block.body:
                if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                    return one
    return None


def signature_for_checkers(cls: type) -> str | None:
    """The arguments of that ``__init__``, without the object itself."""
    shown = constructor_for_checkers(cls)
    if shown is None:
        return None
    arguments = copy.deepcopy(shown.args)
    if arguments.posonlyargs:
        del arguments.posonlyargs[0]
    else:
        del arguments.args[0]
    return f"({ast.unparse(arguments)})"
