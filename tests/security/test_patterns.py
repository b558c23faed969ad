"""No text from outside makes a regular expression slow: each one is given hostile texts, and judged by the processor's time.

A module that uses regular expressions and is not named here fails the test: what it reads has to be looked at first.
"""

from __future__ import annotations

import importlib
import re
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.json import encode

import dynamorm
from dynamorm import composite
from dynamorm.engine import Engine
from dynamorm.engine.access import policy

LENGTH = 20_000
MOST = 1.0
"""Seconds of the processor. One of these patterns is done with such a text within some milliseconds."""

OURS = {
    # What these read is the program's own: annotations, names of fields, expressions and settings that it has written.
    "adapters/cli/exports/dms.py", "adapters/cli/generate/checks.py", "adapters/cli/generate/declared.py",
    "adapters/cli/generate/names.py", "adapters/pydantic.py", "codec/money.py", "codec/types/fields.py",
    "codec/types/source.py", "config/partitions.py", "features/tables/cloudformation.py", "features/tables/templates.py",
    "models/annotations.py", "models/limit_check.py", "ops/calls/inner_path.py", "ops/writes/handed.py",
    "payments/reconciliation.py", "plugins/audit/config.py", "plugins/offload/option.py", "testing/keep.py", "wire/partitions.py",
    # The bytes of a request that this library has made.
    "io/in_process.py",
    # Messages of msgspec about a document, which name places in it and no text of it.
    "adapters/cli/generate/documents.py",
}  # fmt: skip

n = LENGTH
HOSTILE = {
    "adapters/cli/ends.py": [("_KEY_ID", "A" * n), ("_KEY_ID", "AAAA" * (n // 4) + "!")],
    "adapters/cli/formats/ion.py": [
        ("_digits", b"F" * (n // 20)), ("_digits", b"F_g" * n), ("_apart", b'"' + b'\\"' * n), ("_apart", b'"' * n),
        ("_apart", b"{{" * n), ("_apart", b"'" * n),
    ],
    "adapters/cli/formats/csvs.py": [
        ("_CELL", '"' * (n + 1) + "\0"), ("_CELL", '""' * n + "x"), ("_QUOTED", "x" + " " * n + "x"),
    ],
    "adapters/cli/generate/sampled.py": [("_TIME", "2" * n), ("_TIME", "2026-01-01T00:00:00." + "1" * n)],
    "adapters/cli/permissions.py": [("_DENIED", "User: " * n), ("_DENIED", "User: " + "a" * n)],
    "adapters/cli/plain.py": [("_NUMBER", "1" * n + "x"), ("_NUMBER", "1." + "0" * n + "e")],
    "codec/types/times.py": [],  # made for each type; its parts are of a fixed length
    "config/licence/token.py": [("_FORM", "DLIC1." + "A" * n), ("_FORM", "DLIC1." + "A" * n + "." + "A" * 87), ("_NAME", "a" * n)],
    "engine/access/policy.py": [("_SIGNS", "${*}" * n), ("_SIGNS", "*" * n), ("_VARIABLE", "${*" * n)],
    "engine/core.py": [("_table_name", "aA" * n + "\0")],
    "engine/expressions/places.py": [("_name", "#" + "a" * n + "!"), ("_value", ":" + "a" * n + "!")],
    "engine/expressions/tokens.py": [("_scan", " " * n + "!"), ("_scan", "a" * n), ("_scan", "\t\n " * n + "\0")],
    "engine/http/signature.py": [("_parts", "Signature=" * n), ("_parts", "Credential=" + "a" * n), ("_spaces", " " * n)],
    "engine/kms/aliases.py": [("_alias", "alias/" + "a" * n + "!")],
    "engine/kms/keys.py": [("_id", "mrk-" + "a" * n)],
    "engine/kms/sts.py": [
        ("_arn", "arn:aws" + "a" * n), ("_arn", "arn:aws:iam::123456789012:role/" + "a/" * n + "!"), ("_session", "a" * n),
    ],
    "engine/partiql/tokens.py": [
        ("_scan", "\n" * n + "!"), ("_scan", " " * n + "!"), ("_scan", "--\n" * n + "!"), ("_scan", "/**/ " * n + "!"),
        ("_scan", "/*" + "*" * n), ("_scan", "/*" * n), ("_scan", "'" * (n + 1) + "!"), ("_scan", '"' * (n + 1) + "!"),
        ("_scan", "1" * n + "e"),
    ],
    "engine/shapes/forms.py": [("_plain", "a" * n + "\0")],
    "engine/shapes/requests.py": [("_strings", b'"' + b'\\"' * n), ("_strings", b'"' * n)],
    "engine/shapes/strict.py": [("_members", b'"' + b"a" * n + b'"' + b" " * n), ("_members", b'""' * n)],
    "engine/values/numbers.py": [("usual", "1" * n), ("_fraction", "1." + "1" * n), ("_any", "0" * n + "\0"), ("_any", "." + "0" * n + "e")],
    "features/partiql.py": [
        ("_PARTS", "/*" * n), ("_PARTS", "'" * (n + 1)), ("_PARTS", '"' * (n + 1)), ("_PARTS", "--" * n), ("_PARTS", "{table" * n),
        ("_TABLE", "FROM " * n), ("_TABLE", "FROM" + " " * n), ("_TABLE", 'FROM "' * n), ("_TABLE", 'FROM "a".' * n),
        ("_WHOLE", " " * n), ("_WHOLE", "SELECT *" + " " * n), ("_VERB", " " * n),
    ],
    "models/expressions/raw_text.py": [("_TOKEN", " " * n + "!"), ("_TOKEN", "a" * n + "!"), ("NAME", "#" + "a" * n + "!"), ("VALUE", ":" + "a" * n + "!")],
    "models/schema/time_forms.py": [],  # made for each format; the parts of a text are of a fixed length
    "ops/reads/textual.py": [("_STEP", "." * n), ("_STEP", "[" + "1" * n), ("_NAME_LIKE", "a" * n), ("_OPERATOR_LIKE", "a" * n)],
    "payments/homes.py": [("_CODE", "%" * n)],
    "payments/middleware.py": [
        ("_QUOTED", '"' + '\\"' * n + "\0"), ("_QUOTED", '"a"' + ";a=a" * n + "\0"), ("_QUOTED", '"a"' + ";a" * n + ";"),
        ("_QUOTED", '"a";a="' + "a" * n), ("_QUOTED", '"a";' + " " * n + "!"), ("_BARE", "a" * n + " "),
    ],
    "payments/money.py": [("_TEXT", "1" * n + "x"), ("_TEXT", "1." + "1" * n + "x")],
    "payments/outbox/items.py": [],  # one of a fixed length
    "payments/settlement_lines.py": [("_WHOLE", "1" * n)],
    "payments/webhooks.py": [("_DIGITS", "1" * n), ("_ID", "!" * n)],
    "plugins/cache/connections/patience.py": [("_ELSEWHERE", "READONLYx" * n)],
    "plugins/cache/reads.py": [("_EQUAL", "#a = " * n), ("_EQUAL", "#" + "a" * n)],
    "plugins/cache/writes.py": [
        ("_PINNED", "#a = :a AND " * n), ("_ABSENT", "attribute_not_exists(#" * n), ("_WORDS", "a:" * n), ("_TABLE_OF", "FROM" + " " * n),
    ],
    "plugins/dashboard/guard.py": [("_TOKEN", "a" * n + "!"), ("_LOOPBACK", "127" + ".1" * n), ("_LOOPBACK", "localhost:" + "1" * n)],
    "plugins/tenancy/policy.py": [("_ARN", "arn:" + "a-" * n)],
    "testing/fixtures/dump.py": [("_HIDDEN", "\x7f" * n), ("_PLAIN", "a" * n + "!")],
    "testing/fixtures/nodes.py": [("_NUMBER", "1" * n + "x"), ("_SPACE", " " * n), ("_HALF", "\ud800" * n), ("_WORD", "tru" * n)],
    "testing/fixtures/records.py": [("_PLACE", "{n:" * n), ("_PLACE", "{n:0" + "1" * n)],
    "testing/fixtures/values.py": [("_ZEROS", "." + "1" * n + "0" * n + "X"), ("_ZEROS", ".0" * n), ("_ZEROS", "." + "10" * n), ("_NUMBER", "1" * n + "x")],
    "wire/consumed.py": [("_object", b"{" + b"{}" * n), ("_object", b"{{" + b"{}a" * n + b"{"), ("_object", b"{" * n)],
    "wire/http1.py": [("_usual", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * n), ("_usual", b"HTTP/1.1 200 " + b" " * n)],
    "wire/redaction.py": [("_LITERAL", "'" * (n + 1)), ("_LITERAL", "1" * n), ("_LITERAL", "-" * n)],
}  # fmt: skip

SEARCHED = {
    "_KEY_ID", "_apart", "_digits", "_DENIED", "_SIGNS", "_VARIABLE", "_parts", "_spaces", "_strings", "_members", "_PARTS", "_TABLE",
    "_CODE", "_ELSEWHERE", "_EQUAL", "_PINNED", "_ABSENT", "_WORDS", "_TABLE_OF", "_HIDDEN", "_PLACE", "_ZEROS", "_LITERAL", "_HALF",
}  # fmt: skip
"""What is looked for in a text; the others are asked at one place of it."""

CASES = [(module, name, text) for module, cases in HOSTILE.items() for name, text in cases]


class TooSlow(BaseException):
    pass


@contextmanager
def in_time(seconds=MOST):
    """So many seconds of the processor for what is inside; an expression that takes longer is stopped."""

    def stop(number, frame):
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no timer of the processor's time")


@pytest.mark.parametrize(("module", "name", "text"), CASES, ids=[f"{c[0]}-{c[1]}-{i}" for i, c in enumerate(CASES)])
def test_a_hostile_text_costs_no_time(module, name, text):
    found = getattr(importlib.import_module("dynamorm." + module.removesuffix(".py").replace("/", ".")), name)
    found = getattr(found, "__self__", found)
    with in_time():
        for how in (found.match, found.fullmatch):
            how(text)
        if name in SEARCHED:
            found.findall(text)


def test_each_module_with_a_pattern_is_looked_at():
    top = Path(dynamorm.__file__).parent
    using = {
        path.relative_to(top).as_posix()
        for path in top.rglob("*.py")
        if re.search(r"\bre\.(compile|match|fullmatch|search|sub|split|find)", path.read_text("utf-8"))
        and "faces/aio" not in path.as_posix()
    }
    composites = {"models/schema/composite.py"}  # the next test
    assert using - composites == OURS | HOSTILE.keys()
    assert not OURS & HOSTILE.keys()


def test_the_pattern_of_a_composite_costs_no_time():
    made = composite("a", "b", "c")
    with in_time():
        for text in ("%" * n, "a#" * n, "a%25" * n, "#" * n, "%2" * n, "a" * n + "%"):
            assert not made.matches(text)


def test_a_policy_with_many_stars_costs_no_time():
    with in_time():
        for pattern, value in (
            ("*a" * 60, "a" * 59),
            ("*" * 500 + "x", "a" * 5000),
            ("*ab*" * 40, "ab" * 39 + "a" * 3000),
        ):
            assert not policy._like(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("", "", True), ("*", "", True), ("a*", "a", True), ("*a", "ba", True), ("a*c*e", "abcde", True), ("a*c*e", "abcd", False),
        ("*b*b*", "ab", False), ("*b*b*", "abb", True), ("a?c", "abc", True), ("a?c", "ac", False), ("${*}*", "*x", True),
        ("${*}", "x", False), ("*aab", "aaab", True), ("a*a", "a", False), ("*ab*ab", "abab", True), ("*ab*ab", "aab", False),
        ("x*\n*y", "x\n\ny", True),
    ],
)  # fmt: skip
def test_a_policy_means_what_it_did(pattern, value, fits):
    assert policy._like(pattern, value) is fits


@pytest.mark.parametrize("between", [" ", "\n", "\t\n ", "--x\n", "/* */"])
def test_the_engine_answers_a_statement_that_is_none(between):
    text = f"SELECT * FROM t WHERE{between * 1000}\x01"
    with Engine() as engine, in_time():
        status, answer = engine.handle("DynamoDB_20120810.ExecuteStatement", encode({"Statement": text}))
    assert (status, b"ValidationException" in answer) == (400, True)
