"""Writes the shapes of the requests of DynamoDB and KMS, as botocore's service models have them, into the engine.

    python scripts/service_shapes.py          write src/dynamorm/engine/shapes/shapes.json
    python scripts/service_shapes.py check    fail where that file is not what would be written

A shape is a list: its kind, and what it is made of. ``struct``: members (name, shape, whether required); ``list`` and ``map``: the
shape of the elements, least and greatest number; ``text``: least and greatest length, pattern, the words allowed; ``whole``: least and
greatest value; ``real``, ``bool``, ``bytes``, ``time`` and ``value`` (an AttributeValue) alone. What is of KMS begins with
``TrentService.``, as its targets do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

from dynamorm.engine.kms.service import OPERATIONS

TARGET = Path(__file__).resolve().parent.parent / "src/dynamorm/engine/shapes/shapes.json"
KMS = "TrentService."
_KINDS = {"float": "real", "double": "real", "boolean": "bool", "blob": "bytes", "timestamp": "time"}


def shapes() -> dict[str, Any]:
    """Every operation's name with its input, and the shapes that inputs are made of."""
    found: dict[str, Any] = {}
    operations: dict[str, str] = {}
    for service, prefix in (("dynamodb", ""), ("dynamodbstreams", ""), ("kms", KMS)):
        model = Loader().load_service_model(service, "service-2")
        for name, operation in model["operations"].items():
            if prefix and name not in OPERATIONS:
                continue  # the engine has a small part of KMS
            operations[prefix + name] = prefix + operation["input"]["shape"]
            _collect(model["shapes"], prefix + operation["input"]["shape"], found, prefix)
    return {"operations": operations, "shapes": dict(sorted(found.items()))}


def _collect(model: dict[str, Any], name: str, found: dict[str, Any], prefix: str) -> None:
    if name in found:
        return
    shape = model[name.removeprefix(prefix)]
    kind = shape["type"]
    bounds = [shape.get("min"), shape.get("max")]
    if name == "AttributeValue":
        found[name] = ["value"]
    elif kind == "structure":
        required = set(shape.get("required", ()))
        members = {one: prefix + member["shape"] for one, member in shape["members"].items()}
        found[name] = ["struct", [[one, inner, one in required] for one, inner in members.items()]]
        for inner in members.values():
            _collect(model, inner, found, prefix)
    elif kind in ("list", "map"):
        inner = prefix + shape["member" if kind == "list" else "value"]["shape"]
        found[name] = [kind, inner, *bounds]
        _collect(model, inner, found, prefix)
    elif kind == "string":
        found[name] = ["text", *bounds, shape.get("pattern"), shape.get("enum")]
    elif kind in ("integer", "long"):
        found[name] = ["whole", *bounds]
    else:
        found[name] = [_KINDS[kind]]


def main() -> int:
    """Write the file, or compare it."""
    text = json.dumps(shapes(), separators=(",", ":")).replace('],"', '],\n"') + "\n"
    if sys.argv[1:] == ["check"]:
        return int(TARGET.read_text("utf-8") != text)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
