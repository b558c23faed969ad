"""The public keys that licences are signed with, and what was revoked. Data.

A key is added by the maintainers, who make it with ``scripts/issue_license.py key``, and keep the private one. Old keys stay
while licences that they signed are valid.
"""

from __future__ import annotations

from typing import Final

KEYS: Final[dict[str, str]] = {}
"""Public Ed25519 keys by their id (``kid``), 32 bytes as hexadecimal digits."""

REVOKED: Final[frozenset[str]] = frozenset()
"""Ids of licences (``lid``) and of keys (``kid``) that are not accepted any more."""

TESTING_KID: Final = "testing"
TESTING_KEY: Final = "5b01e904216e61a8aeb372c84300fe670090d6b58214c9c97ffc35783ef4fa9f"
"""The key of `dynamorm.testing.licence`, whose private half is public: it is accepted for engines on this machine alone."""
