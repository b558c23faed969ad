"""Encryption of fields: `Encrypted` and `Ephemeral` say which, a provider gives the keys, the plugin seals and opens.

Each stored value is bound to its item, its attribute and its tenant. The core knows nothing of it: see `PlacedField`.
"""

from __future__ import annotations

from .kms import KMSProvider as KMSProvider
from .local import LocalKeyProvider as LocalKeyProvider
from .options import Encrypted as Encrypted
from .plugin import EncryptionPlugin as EncryptionPlugin
from .provider import KeyProvider as KeyProvider
from .secret import Ephemeral as Ephemeral
from .secret import Secret as Secret

__all__ = ["Encrypted", "EncryptionPlugin", "Ephemeral", "KMSProvider", "KeyProvider", "LocalKeyProvider", "Secret"]
