"""Where the service runs, and its secrets. Locally these are made in a folder; in production they come from outside."""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dynamorm import Config, KMSProvider, LocalKeyProvider, Presets
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError

_NEEDED = {
    "PAYMENTS_KMS_KEY": "the id, ARN or alias of a key of KMS",
    "PAYMENTS_AUDIT_KEY": "32 random bytes as 64 hexadecimal digits",
    "PAYMENTS_ACQUIRER_SECRETS": "what the acquirer signs its webhooks with; two, with a space between them, while one is replaced",
    "PAYMENTS_URL": "where the service is reached",
    "DYNAMORM_CURSOR_KEY": "a secret of 32 bytes, in base64",
    "DYNAMORM_IDEMPOTENCY_KEY": "another one",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the service is told. ``demo_keys`` are API keys by tenant, which are made at the start: empty in production."""

    config: Config
    keys: Callable[[], Any]
    """Makes the provider of keys for encryption."""
    audit_key: bytes = field(repr=False)
    acquirer_secrets: tuple[str, ...] = field(repr=False)
    """What the acquirer signs its webhooks with; two while one is replaced."""
    demo_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    lease: float = 30.0
    """Seconds after which a request of a process that died is served by another one."""
    url: str = "http://127.0.0.1:8000"
    """Where the service is reached; local development sends its webhooks there."""

    @property
    def is_local(self) -> bool:
        """Whether this is local development: webhooks may be sent to this machine, and the page may play the acquirer."""
        return self.config.preset == "local_development"

    def is_own(self, url: str) -> bool:
        """Whether a webhook to this address stays with this service, which is allowed in local development alone."""
        try:
            return self.is_local and urlsplit(url)[:2] == urlsplit(self.url)[:2]
        except ValueError:  # it is no URL
            return False


def local(
    folder: str | os.PathLike[str],
    *,
    engine: Engine | None = None,
    endpoint: str | None = None,
    url: str = "http://127.0.0.1:8000",
    lease: float = 30.0,
    **options: Any,
) -> Settings:
    """Settings of this machine, on an engine inside the process or at an endpoint. Secrets are kept in the folder.

    Example: ``local(".payments", engine=Engine(".payments/data.db"))``
    """
    place = Path(folder)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = _secrets(place / "secrets.json")
    where: dict[str, Any] = {"engine": engine} if engine is not None else {"endpoint": endpoint}
    return Settings(
        config=Presets.local_development(
            cursor_key=bytes.fromhex(known["cursor_key"]),
            idempotency_key=bytes.fromhex(known["idempotency_key"]),
            **where,
            **options,
        ),
        keys=lambda: LocalKeyProvider(str(place / "encryption-keys")),
        audit_key=bytes.fromhex(known["audit_key"]),
        acquirer_secrets=(known["acquirer_secret"],),
        demo_keys={"acme": known["acme"], "globex": known["globex"]},
        lease=lease,
        url=url,
    )


def production(environ: Mapping[str, str]) -> Settings:
    """Settings of a process on AWS: ``PAYMENTS_KMS_KEY``, ``PAYMENTS_AUDIT_KEY`` (hex), ``PAYMENTS_ACQUIRER_SECRETS``, ``PAYMENTS_URL``.

    The rest is of the library: ``AWS_REGION``, ``DYNAMORM_CURSOR_KEY``, ``DYNAMORM_IDEMPOTENCY_KEY``, ``DYNAMORM_LICENSE``. Raises:
    ConfigError.
    """
    missing = [f"{name} ({what})" for name, what in _NEEDED.items() if not environ.get(name)]
    if missing:
        raise ConfigError(f"production needs these variables of the environment: set {', '.join(missing)}")
    key_id = environ["PAYMENTS_KMS_KEY"]
    return Settings(
        config=Presets.production(
            cursor_key=environ["DYNAMORM_CURSOR_KEY"], idempotency_key=environ["DYNAMORM_IDEMPOTENCY_KEY"]
        ),
        keys=lambda: KMSProvider(key_id=key_id),
        audit_key=bytes.fromhex(environ["PAYMENTS_AUDIT_KEY"]),
        acquirer_secrets=tuple(environ["PAYMENTS_ACQUIRER_SECRETS"].split()),
        url=environ["PAYMENTS_URL"],
    )


def new_secret() -> str:
    """A secret for webhooks."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def _secrets(path: Path) -> dict[str, str]:
    """The secrets in a file, which is made by whoever comes first."""
    made = {
        "cursor_key": secrets.token_hex(32),
        "idempotency_key": secrets.token_hex(32),  # a card number is a payload: nobody may find it by trying
        "audit_key": secrets.token_hex(32),
        "acquirer_secret": new_secret(),
        "acme": f"sk_{secrets.token_hex(32)}",
        "globex": f"sk_{secrets.token_hex(32)}",
    }
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made, file)
    try:
        os.link(scratch, path)  # whole, or not at all; whoever comes second reads what is there
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
    found: dict[str, str] = json.loads(path.read_text("utf-8"))
    return found
