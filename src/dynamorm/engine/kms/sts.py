"""The token service: AssumeRole and GetCallerIdentity, as forms come in and XML goes out. It must not know how requests come.

A session policy is looked at for its form, and kept with the credentials; `dynamorm.engine.access` refuses by it.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from __future__ import annotations

import re
import time
from secrets import choice, token_hex
from string import ascii_letters, ascii_uppercase, digits
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from dynamorm.engine.answers import encode, read_item
from dynamorm.engine.core import Core
from dynamorm.engine.refusal import Refusal

VERSION: Final = "2011-06-15"
SESSIONS: Final = b"\0sts/"
"""How credentials that were given out are named among the tokens."""

MAX_POLICY: Final = 2048
_DURATION: Final = range(900, 43_201)
_SPACE: Final = f"https://sts.amazonaws.com/doc/{VERSION}/"

_arn = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/(?:[!-~]*/)?([\w+=,.@-]{1,64})\Z").match
_session = re.compile(r"[\w+=,.@-]{2,64}\Z").match


def answered(core: Core, body: bytes, access_key: str | None = None) -> tuple[int, bytes]:
    """The status and the XML that answer a form. ``access_key`` is that of who asks. It never raises for a form."""
    try:
        action, result = _worked(core, body, access_key)
    except Refusal as refusal:
        error = _xml({"Type": "Sender", "Code": refusal.name, "Message": refusal.text})
        text = f'<ErrorResponse xmlns="{_SPACE}"><Error>{error}</Error>{_request_id()}</ErrorResponse>'
        return refusal.status, text.encode()
    inner = f"<{action}Result>{_xml(result)}</{action}Result><ResponseMetadata>{_request_id()}</ResponseMetadata>"
    return 200, f'<{action}Response xmlns="{_SPACE}">{inner}</{action}Response>'.encode()


def _worked(core: Core, body: bytes, access_key: str | None) -> tuple[str, dict[str, Any]]:
    """The action of a form, and its result. Raises: Refusal."""
    form = _form(body)
    action = form.get("Action", "")
    if form.get("Version", VERSION) != VERSION or action not in _ACTIONS:
        raise Refusal("InvalidAction", f"Could not find operation {action} for version {form.get('Version')}")
    return action, _ACTIONS[action](core, form, access_key)


def _form(body: bytes) -> dict[str, str]:
    try:
        given = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=1000)
    except ValueError as error:
        raise Refusal("MalformedInput", "the request is no form") from error
    return {name: values[-1] for name, values in given.items()}


def _request_id() -> str:
    return f"<RequestId>{token_hex(16)}</RequestId>"


def _xml(members: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(value) if isinstance(value, dict) else _escaped(str(value))}</{name}>"
        for name, value in members.items()
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _assume_role(core: Core, form: dict[str, str], access_key: str | None) -> dict[str, Any]:
    del access_key
    role, session = form.get("RoleArn", ""), form.get("RoleSessionName", "")
    match = _arn(role)
    if match is None:
        raise _wrong("RoleArn is the ARN of a role: arn:aws:iam::123456789012:role/name")
    if not _session(session):
        raise _wrong("RoleSessionName has 2 to 64 letters, digits and _+=,.@-")
    seconds = form.get("DurationSeconds", "3600")
    if not seconds.isdecimal() or len(seconds) > 6 or int(seconds) not in _DURATION:
        raise _wrong("DurationSeconds is 900 to 43200")
    policy = form.get("Policy")
    arn = f"arn:aws:sts::{match[1]}:assumed-role/{match[2]}/{session}"
    until = int(core.now()) + int(seconds)
    made = {
        "secret": "".join(choice(ascii_letters + digits) for _ in range(40)),
        "token": token_hex(64),
        "until": until,
        "arn": arn,
        "account": match[1],
        "user": f"AROA{_letters()}:{session}",
        "policy": _checked(policy),
    }
    key = f"ASIA{_letters()}"
    place = SESSIONS + key.encode()
    core.store.apply([(core.tokens, place, None, (until + 1, encode(made)))])
    found: dict[str, Any] = {
        "Credentials": {
            "AccessKeyId": key,
            "SecretAccessKey": made["secret"],
            "SessionToken": made["token"],
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)),
        },
        "AssumedRoleUser": {"AssumedRoleId": made["user"], "Arn": arn},
    }
    if policy is not None:
        found["PackedPolicySize"] = max(1, len(policy) * 100 // MAX_POLICY)
    if form.get("SourceIdentity"):
        found["SourceIdentity"] = form["SourceIdentity"]
    return found


def _letters() -> str:
    return "".join(choice(ascii_uppercase + digits[2:8]) for _ in range(16))


def _checked(policy: str | None) -> str | None:
    """A session policy. Raises: Refusal for what is none."""
    if policy is None:
        return None
    if not 1 <= len(policy) <= MAX_POLICY:
        raise _wrong(f"Policy has 1 to {MAX_POLICY} characters")
    try:
        read: Any = msgspec.json.decode(policy)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal("MalformedPolicyDocument", "the policy is no JSON") from error
    if not isinstance(read, dict) or not isinstance(read.get("Statement"), (list, dict)):
        raise Refusal("MalformedPolicyDocument", "a policy is an object with a Statement")
    return policy


def _wrong(text: str) -> Refusal:
    return Refusal("ValidationError", text)


def _identity(core: Core, form: dict[str, str], access_key: str | None) -> dict[str, Any]:
    del form
    found = None if access_key is None else session_of(core, access_key)
    if found is not None:
        return {"Arn": found["arn"], "UserId": found["user"], "Account": found["account"]}
    account = core.settings.account
    return {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "Account": account}


def session_of(core: Core, access_key: str) -> dict[str, Any] | None:
    """What belongs to an access key that AssumeRole has given out: ``secret``, ``token``, ``policy``; None for others, and expired."""
    row = core.tokens.get(SESSIONS + access_key.encode())
    found = None if row is None else read_item(row[1])
    return None if found is None or found["until"] < core.now() else found


_ACTIONS: Final = {"AssumeRole": _assume_role, "GetCallerIdentity": _identity}
