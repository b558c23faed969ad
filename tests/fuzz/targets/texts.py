"""Texts from outside: cursors, licences, AWS's files, the environment, webhooks."""

from __future__ import annotations

import json
import pathlib
import tempfile
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import partial
from typing import Any, Final

from dynamorm import DB, Attr, Config, Model, Presets, attr, partition_key, sort_key
from dynamorm.config import profile
from dynamorm.config.licence.token import read
from dynamorm.engine import Engine
from dynamorm.payments import sign_webhook, verify_webhook
from dynamorm.testing import licence
from dynamorm.testing.kit.licences import signed
from tests.fuzz.kit import SECRET, Breach, Target, documented, each


class Order(Model, table="orders"):
    """With a key of two parts."""

    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    note: Attr[str] = attr(default=SECRET)


def _filled() -> DB:
    engine = Engine()
    db = DB(Presets.local_development(engine=engine, cursor_key=b"k" * 32))
    db.tables.ensure(Order)
    for number in range(6):
        db.create(Order(customer="c", number=number))
    return db


def cursors() -> Target:
    """A sealed cursor opens as it was made, or not at all."""
    db = _filled()
    pages = db.model(Order).where(Order.customer == "c").limit(2)
    made = [pages.page().cursor, pages.cursor(pages.page().cursor).page().cursor]

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        with documented():
            pages.cursor(text).page()
        if text and text not in made:
            raise Breach("a cursor that nobody made was opened")

    return Target("cursors", lambda: [one.encode() for one in made], run, (b"c1.", b"=", b"-", b"_", b"AAAA"))


def _page(query: Any, text: str) -> Any:
    return query.cursor(text).page()


def plain_cursors() -> Target:
    """A plain one holds a key, or is refused."""
    db = _filled()
    pages = db.model(Order).where(Order.customer == "c").limit(2).cursor_format("v0.1")
    made = pages.page().cursor
    inner = urlsafe_b64decode(made + "=" * (-len(made) % 4))

    def run(data: bytes) -> None:
        spelled = urlsafe_b64encode(data).decode()
        texts = (data.decode("utf-8", "surrogateescape"), spelled, spelled.rstrip("="))
        each(*(partial(_page, pages, text) for text in texts))

    return Target(
        "plain-cursors", lambda: [made.encode(), inner], run, (b'{"S":"', b'"lastKey"', b'"index"', b'"sort"', b"=")
    )


def licences() -> Target:
    """A licence, or claims that are signed."""
    real = licence(["encryption"]).encode()
    claims = {
        "kid": "testing",
        "lid": "l",
        "sub": "s",
        "feat": ["encryption"],
        "iat": 1,
        "nbf": 1,
        "exp": 2**31,
        "grace": 0,
        "alg": "Ed25519",
        "ver": 1,
    }

    def run(data: bytes) -> None:
        if data[:1] != b"{":
            with documented():
                read(data.decode("utf-8", "surrogateescape"), loopback=True).check_time(time.time())
            if data.strip() != real:
                raise Breach("a licence that nobody made was read")
            return
        with documented():  # of changed bytes a signature tells; here what was signed is anything
            found = read(signed(data), loopback=True)
            found.check_time(time.time())
            repr(found)

    seeds = [real, json.dumps(claims).encode(), json.dumps(claims | {"kid": json.loads(_claims(real))["kid"]}).encode()]
    return Target("licences", lambda: seeds, run, (b"DLIC1.", b'"exp":', b'"feat":["*"]', b'"kid":'))


def _claims(real: bytes) -> bytes:
    part = real.split(b".")[1]
    return urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def profiles() -> Target:
    """AWS's files of settings."""
    place = pathlib.Path(tempfile.mkdtemp()) / "config"
    secret = f"\naws_secret_access_key = {SECRET}\n".encode()
    environ = {"AWS_CONFIG_FILE": str(place), "AWS_SHARED_CREDENTIALS_FILE": str(place), "AWS_PROFILE": "dev"}
    text = (
        "[default]\nregion = eu-west-1\n\n[profile dev]\nregion=eu-central-1\nretry_mode = standard\nmax_attempts = 3\nservices = local\n"
        "aws_secret_access_key = kanarienvogel\ns3 =\n  addressing_style = path\nendpoint_url = https://localhost:8000\nca_bundle = /x\n"
        "use_fips_endpoint = true\naccount_id_endpoint_mode = preferred\n[services local]\ndynamodb =\n  endpoint_url = https://127.0.0.1:8000\n"
    )

    def run(data: bytes) -> None:
        if secret not in data:  # it stands somewhere else now, as the value of a setting that is no secret
            data = data.replace(SECRET.encode(), b"x")
        place.write_bytes(data)
        for named in ("dev", None):
            with documented():
                found = profile.read_profile(environ, named)
                if found is not None and "aws_secret_access_key" in found.settings:
                    raise Breach("a secret is kept")
        with documented():
            Config.from_env(environ).resolve(environ)

    return Target("profiles", lambda: [text.encode(), b"[dev]\nregion = eu-west-1\n"], run, (b"[profile dev]\n", b"\n  ", b" = ", b"[", b"]", b"#", b"region"))  # fmt: skip


_VARIABLES: Final = {
    "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000", "AWS_MAX_ATTEMPTS": "3", "AWS_RETRY_MODE": "standard",
    "AWS_USE_FIPS_ENDPOINT": "false", "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_ACCOUNT_ID": "123456789012", "DYNAMORM_OPERATION_TIMEOUT": "8.0",
    "DYNAMORM_PRESET": "production", "DYNAMORM_CURSOR_KEY": "a2Fua2Fua2Fua2Fua2Fua2Fua2Fua2Fua2Fua2Fua2E=", "DYNAMORM_MAX_CONNECTIONS": "10",
    "DYNAMORM_TABLE_PREFIX": "x-", "DYNAMODB_ENDPOINT": "http://localhost:8000", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "a,b", "DYNAMORM_ALLOW_INSECURE_LOCAL": "true",
}  # fmt: skip


def environment() -> Target:
    """Variables, one on a line."""

    def run(data: bytes) -> None:
        lines = data.decode("utf-8", "replace").replace("\0", "").splitlines()
        environ = dict(line.partition("=")[::2] for line in lines if "=" in line)
        with documented():
            config = Config.from_env({"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"} | environ)
            made = config.resolve(environ | {"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"})
            repr(made)

    whole = "\n".join(f"{name}={value}" for name, value in _VARIABLES.items())
    seeds = [
        whole.encode(),
        *(
            f"AWS_REGION=eu-west-1\nDYNAMORM_ALLOW_INSECURE_LOCAL=true\n{name}={value}".encode()
            for name, value in _VARIABLES.items()
        ),
    ]
    words = tuple(
        one.encode()
        for one in (
            *_VARIABLES,
            "http://",
            "https://",
            "[::1]",
            "@",
            ":0",
            ":99999",
            "nan",
            "inf",
            "1e400",
            "-1",
            "\u0661",
        )
    )
    return Target("environment", lambda: seeds, run, words)


def webhooks() -> Target:
    """Headers, one on a line, an empty line, and a body."""
    secret = "whsec_" + "a2Fua2Fua2Fua2Fua2Fua2Fua2Fua2Fu"
    headers = sign_webhook(secret, id="msg-1", body=b"{}", timestamp=1_700_000_000)
    whole = "\n".join(f"{name}: {value}" for name, value in headers.items()).encode() + b"\n\n{}"

    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        given = dict(line.decode("latin-1").partition(": ")[::2] for line in head.split(b"\n"))

        def verified() -> None:
            verify_webhook(secret, given, body, now=1_700_000_000)
            if body != b"{}":
                raise Breach("a webhook that nobody signed was taken")

        each(verified, lambda: verify_webhook(data.decode("utf-8", "replace"), headers, b"{}", now=1_700_000_000))

    return Target("webhooks", lambda: [whole], run, (b"webhook-id: ", b"webhook-signature: ", b"v1,", b"v1a,", b" "))


TARGETS: Final[dict[str, Any]] = {
    "cursors": cursors, "plain-cursors": plain_cursors, "licences": licences, "profiles": profiles, "environment": environment, "webhooks": webhooks,
}  # fmt: skip
