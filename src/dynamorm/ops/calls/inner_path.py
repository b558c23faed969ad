"""What is said of an update that builds on what is not stored: inside an attribute, or on a list that is not there.

The service does not say where. The request does, so nothing else is asked.
"""

from __future__ import annotations

import re
from typing import Any, Final

from dynamorm.codec.strict import read_object
from dynamorm.errors import ValidationError
from dynamorm.wire.reply import ServiceFault

# Only a refusal needs them: they are compiled with their first use, not with this module.
_INSIDE: Final = r"#\w+(?:\.#\w+|\[\d+\])+"
_GROWING: Final = r"list_append\((?::\w+, ?)?(#\w+(?:\.#\w+|\[\d+\])*)"


def of_path(fault: ServiceFault, body: bytes, info: dict[str, Any]) -> ValidationError | None:
    """The error for a refused update that names what it builds on; None for any other refusal.

    Its words are those of the service on all engines; only some add a part of the path.
    """
    if "document path provided in the update expression" in fault.message:
        paths = _named(body, _INSIDE)
        roots = list(dict.fromkeys(map(_root, paths)))
        text = (
            "cannot be changed: what it lies in is not stored, or is no map or list that has this place; set"
            f" {' and '.join(roots)} whole first, with .set(...), or give it a default in the model"
        )
    elif "refers to an attribute that does not exist" in fault.message:
        paths = _named(body, _GROWING)
        text = "is not stored, and has no default to begin from: say .append_or_create(x), or .set([x])"
    else:
        return None
    if not paths:
        return None
    named = " and ".join(paths)
    # What is named inside a map is as often data as a name.
    return ValidationError(f"{named} {text}", field=_root(paths[0]), **info).quoting(named)


def _root(path: str) -> str:
    """The attribute that a path begins with."""
    return re.split(r"[.\[]", path)[0]


def _named(body: bytes, pattern: str) -> list[str]:
    """The places that the updates of a request name so, in the words of the table."""
    request: dict[str, Any] = read_object(body)
    operations: list[dict[str, Any]] = request.get("TransactItems", [{"Update": request}])
    paths: set[str] = set()
    for update in (operation["Update"] for operation in operations if "Update" in operation):
        names = update.get("ExpressionAttributeNames", {})
        paths |= {_spelled(path, names) for path in re.findall(pattern, update.get("UpdateExpression", ""))}
    return sorted(paths)


def _spelled(path: str, names: dict[str, str]) -> str:
    """A path with the names that its placeholders stand for."""
    return re.sub(r"#\w+", lambda match: names.get(match[0], match[0]), path)
