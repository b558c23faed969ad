"""DMS documents: the models of a table as the Go, TypeScript and Python libraries that share it describe them.

A document is YAML of the kind that JSON can say, or JSON, of version 0.1 or 0.2. What it may hold is written down below, and
checked as a whole, so that nothing that it says is passed over in silence.

Source: https://github.com/theory-cloud/TableTheory, docs/development/planning/theorydb-spec-dms-v0.2.md
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, NoReturn, TypeAlias

import msgspec

from ..ends import Code, Stop

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 32
_LINE_OF: Final = re.compile(r" - at `\$(.*)`$")
_STEP: Final = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?(?:[eE][-+]?\d+)?")
_LONGEST_NUMBER: Final = 40
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}

KeyType: TypeAlias = Literal["S", "N", "B"]
Place: TypeAlias = tuple[str | int, ...]


class KeyPart(msgspec.Struct, forbid_unknown_fields=True):
    """An attribute of a key."""

    attribute: str
    type: KeyType


class Keys(msgspec.Struct, forbid_unknown_fields=True):
    """The key of a table."""

    partition: KeyPart
    sort: KeyPart | None = None


class Attribute(msgspec.Struct, forbid_unknown_fields=True):
    """One attribute. ``required`` and ``optional`` are two words for one thing; an attribute with neither may be absent."""

    attribute: str
    type: Literal["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"]
    required: bool = False
    optional: bool = False
    omit_empty: bool = False
    roles: list[str] = []
    format: Literal["rfc3339nano", "unix_seconds", "int"] | None = None
    json: bool = False
    binary: bool = False
    encryption: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None


class Projection(msgspec.Struct, forbid_unknown_fields=True):
    """What an index holds."""

    type: Literal["ALL", "KEYS_ONLY", "INCLUDE"] = "ALL"
    fields: list[str] = []


class Index(msgspec.Struct, forbid_unknown_fields=True):
    """An index of a table."""

    name: str
    type: Literal["GSI", "LSI"]
    partition: KeyPart
    sort: KeyPart | None = None
    projection: Projection = msgspec.field(default_factory=Projection)


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """The name of a table."""

    name: str


class Naming(msgspec.Struct, forbid_unknown_fields=True):
    """How attributes are called."""

    convention: Literal["camelCase", "snake_case", "dynamorm"] | None = None


class WritePolicy(msgspec.Struct, forbid_unknown_fields=True):
    """What may be changed."""

    mode: Literal["mutable", "write_once"] = "mutable"
    protected_attributes: list[str] = []


class DmsModel(msgspec.Struct, forbid_unknown_fields=True):
    """One model."""

    name: str
    table: Table
    keys: Keys
    attributes: list[Attribute]
    naming: Naming = msgspec.field(default_factory=Naming)
    indexes: list[Index] = []
    write_policy: WritePolicy = msgspec.field(default_factory=WritePolicy)


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """All models of a file."""

    dms_version: Literal["0.1", "0.2"]
    models: list[DmsModel]
    namespace: str | None = None


class Source:
    """A file that is read, and the line of each of its parts."""

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.lines: dict[Place, int] = {}

    def wrong(self, place: Place, text: str) -> Stop:
        """What refuses the document for what stands at a place."""
        while place and place not in self.lines:
            place = place[:-1]
        line = f":{self.lines[place]}" if place in self.lines else ""
        return Stop(Code.REFUSED, f"{self.path}{line}: {text}")


def read(path: Path) -> tuple[Document, Source]:
    """The document of a file. Raises: Stop for what is none; OSError."""
    if path.stat().st_size > MAX_BYTES:
        raise Stop(Code.REFUSED, f"{path}: a DMS document has at most {MAX_BYTES} bytes")
    source = Source(path)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise Stop(Code.REFUSED, f"{path}: it is no text in UTF-8") from None
    found = _json(text, source) if path.suffix.lower() == ".json" else _Yaml(text, source).value
    failed = ""
    try:
        return msgspec.convert(found, Document), source
    except msgspec.ValidationError as error:
        failed = str(error)
    except UnicodeEncodeError:
        raise source.wrong((), "a text has half of a surrogate pair, which is no character") from None
    raise _refused(failed, source)


def _refused(failed: str, source: Source) -> Stop:
    """What msgspec says of a document, with the line."""
    place = _LINE_OF.search(failed)
    steps = _STEP.findall(place[1]) if place is not None else []
    what = _LINE_OF.sub("", failed)
    if what.startswith("Expected `str`, got `float`"):
        what += ': write the version in quotes, dms_version: "0.2"'
    where = f" ({place[1].lstrip('.')})" if place is not None else ""
    return source.wrong(tuple(name or int(number) for name, number in steps), f"{what[:1].lower()}{what[1:]}{where}")


def _json(text: str, source: Source) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise source.wrong((), "a name stands twice in one object")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise Stop(Code.REFUSED, f"{source.path}{f':{line}' if line else ''}: this is not JSON") from None


class _Yaml:
    """The value of a YAML document, as JSON would have it: no tags, no anchors, and no texts that turn into something else."""

    def __init__(self, text: str, source: Source) -> None:
        self._source = source
        self._yaml = _pyyaml()
        loader = getattr(self._yaml, "CSafeLoader", self._yaml.SafeLoader)
        try:
            self._events = iter(list(self._yaml.parse(text, Loader=loader)))
        except self._yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark is not None else ""
            raise Stop(Code.REFUSED, f"{source.path}{line}: this is not YAML") from None
        self.value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, self._yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._wrong(event, "a DMS document stands alone in its file: take the --- away")
                self.value = self._node(next(self._events), ())

    def _wrong(self, event: Any, text: str) -> NoReturn:
        raise Stop(Code.REFUSED, f"{self._source.path}:{event.start_mark.line + 1}: {text}")

    def _node(self, event: Any, place: Place) -> Any:
        yaml = self._yaml
        self._source.lines[place] = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None or event.tag is not None:
            self._wrong(event, "a DMS document has no anchors (&), aliases (*) and tags (!)")
        if len(place) > MAX_DEPTH:
            self._wrong(event, f"this is nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            found: list[Any] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                found.append(self._node(inner, (*place, len(found))))
            return found
        members: dict[str, Any] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            if not isinstance(inner, yaml.ScalarEvent):
                self._wrong(inner, "a name is a text, not a list or a map")
            name = inner.value
            if name in members or (name == "<<" and inner.style is None):
                self._wrong(inner, f"the name {name[:60]!a} stands twice" if name != "<<" else "<< merges nothing here")
            members[name] = self._node(next(self._events), (*place, name))
        return members

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if event.style not in (None, ""):
            return text
        if text in _WORDS:
            return _WORDS[text]
        number = _NUMBER.fullmatch(text)
        if number is None or len(text) > _LONGEST_NUMBER:
            return text
        return int(text) if text.lstrip("-").isdecimal() else float(text)


def _pyyaml() -> ModuleType:
    try:
        return import_module("yaml")
    except ImportError:
        raise Stop(
            Code.USAGE, "YAML needs PyYAML: pip install 'dynamorm-py[cli]'; a document in JSON needs nothing"
        ) from None
