r"""Make the keys that licences are signed with, and issue licences. For the maintainers, who keep the private keys elsewhere.

    python scripts/issue_license.py key --out license-2027.pem
    python scripts/issue_license.py issue --key license-2027.pem --kid 2027 --sub "Acme Ltd" --days 365 \
        --feature encryption --feature audit_log --feature multi_tenancy

The first prints the line for ``src/dynamorm/config/licence/keys.py``. Both need the package cryptography.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from dynamorm.config.licence.token import LONGEST_GRACE, SIGNED, read

FEATURES = ("encryption", "audit_log", "multi_tenancy")


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    key = commands.add_parser("key", help="make a private key, and print its public one")
    key.add_argument("--out", required=True, type=Path, help="a new file, which only you may read")
    issue = commands.add_parser("issue", help="print a licence")
    issue.add_argument("--key", required=True, type=Path, help="the private key")
    issue.add_argument("--kid", required=True, help="the key's id in keys.py")
    issue.add_argument("--sub", required=True, help="who is licensed")
    issue.add_argument("--feature", action="append", required=True, choices=FEATURES, dest="features")
    issue.add_argument("--days", required=True, type=int, help="how long it is valid, from now on")
    issue.add_argument("--grace-days", type=int, default=14, help="how long it counts after that, with a warning (14)")
    issue.add_argument("--lid", help="its id; a random one if left out")
    given = parser.parse_args(arguments)
    return make_key(given.out) if given.command == "key" else issue_licence(given)


def make_key(path: Path) -> int:
    """Write a new private key, and print the line that makes it known."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    print(f'    "{path.stem}": "{key.public_key().public_bytes_raw().hex()}",')
    return 0


def issue_licence(given: argparse.Namespace) -> int:
    """Print a licence, once it is found to be one."""
    key = load_pem_private_key(given.key.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        sys.exit(f"{given.key} is no Ed25519 key: make one with the command `key`")
    if given.days < 1 or not 0 <= given.grace_days * 86400 <= LONGEST_GRACE:
        sys.exit("a licence is valid for a day at least, and its time of grace is 30 days at most")
    now = int(time.time())
    claims = {
        "kid": given.kid,
        "lid": given.lid or secrets.token_hex(8),
        "sub": given.sub,
        "feat": list(dict.fromkeys(given.features)),
        "iat": now,
        "nbf": now,
        "exp": now + given.days * 86400,
        "grace": given.grace_days * 86400,
    }
    payload = json.dumps(claims, ensure_ascii=True, separators=(",", ":")).encode()
    parts = (payload, key.sign(SIGNED + payload))
    text = ".".join(["DLIC1", *(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)])
    read(text, loopback=False, keys={given.kid: key.public_key().public_bytes_raw().hex()})
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
