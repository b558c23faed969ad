"""The reference of the settings, made from the classes of settings: name, type, default, variable, and what is said of it.

What is said is taken from the docstrings of the classes: the entries of a list that begin with the names of their settings;
of a setting without an entry, the sentences that name it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from dynamorm.config import load
from dynamorm.config.circuit_breaker import CircuitBreakerConfig
from dynamorm.config.environment import FORMS, PREFIX
from dynamorm.config.settings import Config, Credentials, HighThroughput, Presets

from .api import class_body, constructor_for_checkers

PLACE = "reference/configuration.rst"
CLASSES: tuple[tuple[type, str], ...] = (
    (Config, "Config: the database"),
    (HighThroughput, "HighThroughput: the pool and one attempt"),
    (CircuitBreakerConfig, "CircuitBreakerConfig: refuse at once"),
    (Credentials, "Credentials"),
)
PRESETS = ("local_development", "production", "high_throughput", "aws_lambda")
ENTRY = re.compile(r"^\* (?P<text>.+(?:\n  .+)*)", re.MULTILINE)
NAME = re.compile(r"``(\w+)``")

INTRODUCTION = """\
Configuration reference
=======================

This page is made from the classes of settings, so it is complete. :doc:`/guide/configuration` explains how they work together.

A setting with a variable can be given in the environment. An argument goes before the variable, the variable before the preset. An
unknown ``DYNAMORM_`` variable is an error. Times are float seconds or a ``timedelta``; in the environment ``500ms``, ``2s`` and ``1m``
are understood too.
"""


def pages() -> dict[str, str]:
    """The page by its place."""
    lines = [INTRODUCTION, *_presets()]
    for cls, title in CLASSES:
        lines += [title, "-" * len(title), ""]
        texts = described(cls)
        for field in msgspec.structs.fields(cls):
            lines += _entry(cls, field, texts[field.name])
    return {PLACE: "\n".join(lines)}


def described(cls: type) -> dict[str, str]:
    """What the docstring of a class says of each of its settings; no text for those that it does not name."""
    text = inspect.getdoc(cls) or ""
    found = {field.name: "" for field in msgspec.structs.fields(cls)}
    for entry in ENTRY.finditer(text):
        head, colon, said = _one_line(entry["text"]).partition(": ")
        for name in NAME.findall(re.sub(r"\(.*?\)", "", head)) if colon else ():
            found[name] = said
    parts = [part for block in text.split("\n\n") for part in re.split(r"^\* ", block, flags=re.MULTILINE)]
    sentences = [one for part in parts for one in re.split(r"(?<=\.) ", _one_line(part))]
    for name, said in found.items():
        told = said or " ".join(one for one in sentences if f"``{name}``" in one or f"``{name}=" in one)
        found[name] = told[:1].upper() + told[1:]
    return found


def variable_of(name: str) -> str | None:
    """The variable that holds a setting, if the environment may hold it."""
    return PREFIX + name.upper() if name in FORMS else None


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).strip()


def _entry(cls: type, field: Any, text: str) -> list[str]:
    default = "it must be given" if field.required else f"``{_default(field)}``"
    variable = variable_of(field.name) if cls in {Config, HighThroughput} else None
    told = [text] if text else []
    if variable:
        told.append(f"Environment: ``{variable}``, {FORMS[field.name].value}.")
    return [
        f".. confval:: {field.name}",
        f"   :type: ``{_types(cls)[field.name]}``",
        f"   :default: {default}",
        "",
        *(
            line
            for part in told
            for line in (*textwrap.wrap(part, 110, initial_indent="   ", subsequent_indent="   "), "")
        ),
    ]


def _default(field: Any) -> str:
    return f"{type(field.default).__name__}()" if isinstance(field.default, msgspec.Struct) else repr(field.default)


def _types(cls: type) -> dict[str, str]:
    """The type of each setting as an argument, by the source; else of the attribute."""
    found = {
        one.target.id: ast.unparse(one.annotation)
        for one in ast.walk(class_body(cls))
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    shown = constructor_for_checkers(cls)
    arguments = shown.args.kwonlyargs if shown is not None else []
    return {**found, **{one.arg: ast.unparse(one.annotation) for one in arguments if one.annotation}}


def _presets() -> Iterator[str]:
    """What each preset sets, in an environment that says nothing."""
    yield from (
        "Presets",
        "-------",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - preset",
        "     - for",
        "     - sets",
    )
    plain = Config()
    for name in PRESETS:
        made = load.from_env(Config, {}, name, {})
        changed = [*_changed(plain, made), *_changed(plain.performance, made.performance)]
        purpose = str(inspect.getdoc(getattr(Presets, name))).partition("\n")[0].partition(": ")[0]
        yield from (
            f"   * - ``Presets.{name}()``",
            f"     - {purpose.removesuffix('.')}",
            f"     - {', '.join(changed) or 'nothing'}",
        )
    yield ""


def _changed(plain: Any, made: Any) -> list[str]:
    """Each setting that differs, with its value; credentials are only named."""
    return [
        f"``{field.name}``" if field.name == "credentials" else f"``{field.name}={getattr(made, field.name)!r}``"
        for field in msgspec.structs.fields(type(made))
        if field.name not in {"performance", "preset"} and getattr(made, field.name) != getattr(plain, field.name)
    ]
