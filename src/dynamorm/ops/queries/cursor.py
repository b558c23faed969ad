"""Cursors: where a query stopped, sealed, so that whoever carries it can neither read nor change it.

A cursor is ``c1.`` and base64url of nonce and AES-256-GCM. It opens only for the query it was made for: same model,
table, index, direction, conditions and selection; limits and page sizes may differ. It must not know how a query is sent.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dynamorm.codec.library_attributes import is_key, sorted_sets
from dynamorm.config.secret_keys import SecretKeys
from dynamorm.errors import ConfigError, TamperedCursor, ValidationError
from dynamorm.models.expressions.compile import Placeholders, condition_text
from dynamorm.models.expressions.tree import Condition
from dynamorm.ops.reads.searched import searched
from dynamorm.ops.reads.terms import flat
from dynamorm.ops.requests import encode

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

    from .prepared_query import PreparedQuery

PREFIX: Final = "c1."
LIFE: Final = 24 * 3600
"""Seconds that a cursor may be used: long enough for a person's working day, short enough to change keys daily."""
LONGEST: Final = 4096
"""Characters of a cursor: it travels in URLs and headers, whose usual limit is 8 KB."""
_PURPOSE: Final = b"dynamorm/cursor/1"
_NONCE: Final = 12


def seal(context: Context, prepared: PreparedQuery, key: bytes | None, *, back: bool = False) -> str:
    """The cursor to go on after ``key``, None for the start; with ``back`` to go back from it, None for the end.

    Raises: ConfigError in production without ``cursor_key``, or without the package `cryptography`; ValidationError
    when the key is too long for a cursor.
    """
    if prepared.request.cursor_format == "v0.1":
        _check_open(context)
        text = _plain(prepared, key, back=back)
    else:
        lek = None if key is None else msgspec.json.decode(key)
        payload = _bound(context, prepared) | {"lek": lek, "exp": _now(context) + LIFE}
        if back:
            payload["back"] = True
        nonce = os.urandom(_NONCE)
        sealed = _sealers(_keys(context))[0].encrypt(
            nonce, msgspec.json.encode(payload, order="sorted"), _associated_data(prepared)
        )
        text = PREFIX + urlsafe_b64encode(nonce + sealed).decode().rstrip("=")
    if len(text) > LONGEST:
        name = prepared.plan.codec.schema.name
        raise ValidationError(f"the key of this {name} is too long for a cursor: {len(text)} of {LONGEST} characters")
    return text


def open_cursor(context: Context, prepared: PreparedQuery, text: str) -> tuple[bytes | None, bool]:
    """The raw JSON of the key to go on after, and whether it is to go back from it; None for the start, or back from the end.

    Raises: TamperedCursor, always the same one, for whatever is no cursor of this query; ConfigError as `seal`.
    """
    v01 = prepared.request.cursor_format == "v0.1"
    if v01:
        _check_open(context)
    sealers = () if v01 else _sealers(_keys(context))
    opened: tuple[bytes | None, bool] | None = None
    if len(text) <= LONGEST:
        opened = _open_plain(prepared, text) if v01 else _open(context, prepared, text, sealers)
    if opened is None:  # raised out here: a context would tell what was wrong
        raise TamperedCursor(
            "this cursor cannot be used for this query: start at the beginning",
            operation=prepared.name,
            table=prepared.plan.table,
        )
    return opened


def _check_open(context: Context) -> None:
    """Refuse the cursors of the Go library in a view: anybody can read and make them. Raises: ValidationError."""
    if context.scope:
        raise ValidationError(
            'cursors of the format "v0.1" are plain text, which shows the keys of other scopes and is bound to none: in a view,'
            " leave out cursor_format",
            field="cursor_format",
        )


def _open(
    context: Context, prepared: PreparedQuery, text: str, sealers: Iterable[Any]
) -> tuple[bytes | None, bool] | None:
    from cryptography.exceptions import InvalidTag  # an optional dependency

    raw = _from_base64url(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
    if raw is None or len(raw) <= _NONCE:
        return None
    for sealer in sealers:
        try:
            payload = msgspec.json.decode(sealer.decrypt(raw[:_NONCE], raw[_NONCE:], _associated_data(prepared)))
        except InvalidTag:
            continue
        exp, key, back = payload.pop("exp"), payload.pop("lek"), payload.pop("back", False)
        if payload != _bound(context, prepared) or _now(context) >= exp:
            return None
        return None if key is None else encode(key), back
    return None


def _from_base64url(text: str) -> bytes | None:
    """The bytes of base64url without padding, in its one spelling."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        return None
    # Python's decoder skips foreign characters and ignores spare bits: of the texts that give the same bytes one is valid.
    return raw if urlsafe_b64encode(raw).decode().rstrip("=") == text else None


def _now(context: Context) -> int:
    return int(context.now().timestamp())


def _associated_data(prepared: PreparedQuery) -> bytes:
    """The associated data of AES-GCM, authenticated and not sent: purpose, tenant (none yet) and model."""
    return b"\0".join((_PURPOSE, b"", prepared.plan.codec.schema.name.encode()))


def _bound(context: Context, prepared: PreparedQuery) -> dict[str, Any]:
    """What a cursor is bound to."""
    return {
        "idx": "" if prepared.query_plan.index is None else prepared.query_plan.index.name,
        "dir": "desc" if prepared.request.descending else "asc",
        "qh": _query_hash(prepared),
        "t": json.dumps(dict(context.scope), sort_keys=True) if context.scope else "",
        "m": prepared.plan.codec.schema.name,
    }


def _query_hash(prepared: PreparedQuery) -> str:
    """SHA-256 of what is asked, whatever the order of its terms; without limits and page sizes."""
    query_plan, request = prepared.query_plan, prepared.request
    places = sorted(json.dumps(place.stored) for place in request.select)
    conditions = (*query_plan.terms, *query_plan.filters)
    if (
        prepared.plan.read_rules is not None or request.unexpired
    ):  # what rules add may change from page to page, such as the time
        conditions = flat(prepared.plan.codec.schema, (*request.conditions, *request.filters))
        if prepared.plan.codec.placed:
            conditions = searched(prepared.plan, conditions)
    terms = sorted(_term(prepared, term) for term in conditions)
    asked = (prepared.plan.table, prepared.name, terms, places, request.segments, request.segment)
    return sha256(encode((*asked, "unexpired") if request.unexpired else asked)).hexdigest()


def _term(prepared: PreparedQuery, condition: Condition) -> str:
    """One term as text, the same in every process."""
    placeholders = Placeholders()
    text = condition_text(condition, placeholders, prepared.plan.operand)
    return encode((text, list(placeholders.names.values()), sorted_sets(list(placeholders.values.values())))).decode()


# ---------------------------------------------------------------------------------------------------------------- keys

_lock: Final = Lock()
_process: list[SecretKeys] = []


def _keys(context: Context) -> SecretKeys:
    """The secrets of the settings, or those of this process."""
    keys = context.config.cursor_key
    if keys is not None:
        return keys
    if context.config.preset == "production":
        raise ConfigError(
            "production requires cursor_key=... where cursors are used: 32 random bytes or their base64 text, the same in"
            " every process (DYNAMORM_CURSOR_KEY)"
        )
    with _lock:
        if _process:
            return _process[0]
        _process.append(SecretKeys((os.urandom(32),)))
    import warnings  # once in a process, and never in production

    warnings.warn(
        "no cursor_key is set, so cursors are sealed with a key of this process: no other process, and none after a"
        " restart, can open them; set Config(cursor_key=...) or DYNAMORM_CURSOR_KEY",
        stacklevel=2,
    )
    return _process[0]


@lru_cache(maxsize=16)
def _sealers(keys: SecretKeys) -> tuple[Any, ...]:
    """AES-GCM with a key derived from each secret for this one purpose."""
    with suppress(ImportError):  # an optional dependency
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return tuple(
            AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret))
            for secret in keys.secrets
        )
    raise ConfigError("cursors are sealed by the package cryptography: pip install 'dynamorm-py[secure]'")


# ---------------------------------------------------------------------------------------------- cursors of the Go library

_ESCAPES: Final = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What Go's encoder escapes besides what JSON demands. Source: https://pkg.go.dev/encoding/json#Marshal"""


def _plain(prepared: PreparedQuery, key: bytes | None, *, back: bool) -> str:
    """A v0.1 cursor: padded base64url of JSON that anybody can read and change."""
    if back or key is None:
        raise ValidationError(
            'a v0.1 cursor only leads on, from a key: leave out cursor_format("v0.1") for pages that lead back',
            field="cursor_format",
        )
    if prepared.request.segments is not None or prepared.query_plan.partitions:
        raise ValidationError(
            "a v0.1 cursor holds one position; a scan in segments and a query over shards have several: leave out"
            " cursor_format()"
        )
    index, order = prepared.query_plan.index, prepared.request.order
    document: dict[str, Any] = {"lastKey": dict(sorted(msgspec.json.decode(key).items()))}
    if index is not None:
        document["index"] = index.name
    if order is not None:
        document["sort"] = "DESC" if prepared.request.descending else "ASC"
    text = encode(document).decode()
    for sign, escape in _ESCAPES.items():
        text = text.replace(sign, escape)
    return urlsafe_b64encode(text.encode()).decode()


def _open_plain(prepared: PreparedQuery, text: str) -> tuple[bytes, bool] | None:
    """The key in a v0.1 cursor, if it has the form of one for this query."""
    try:
        document = msgspec.json.decode(urlsafe_b64decode(text))
    except (Error, ValueError, RecursionError, msgspec.DecodeError):
        return None
    if not isinstance(document, dict) or document.keys() - {"lastKey", "index", "sort"}:
        return None
    index = "" if prepared.query_plan.index is None else prepared.query_plan.index.name
    order = ("DESC",) if prepared.request.descending else ("", "ASC")
    sort = document.get("sort", "")  # the Go library stores the text of the caller, in whatever case
    if document.get("index", "") != index or not isinstance(sort, str) or sort.upper() not in order:
        return None
    types = {name: prepared.plan.key_type(field) for name, field in prepared.key_fields()}
    key = document.get("lastKey")
    return (encode(key), False) if is_key(key, types) else None
