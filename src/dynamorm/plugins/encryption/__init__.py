"""Encryption of fields: `Encrypted` and `Ephemeral` say which, a provider gives the keys, the plugin seals and opens.

Each stored value is bound to its item, its attribute and its tenant. The core knows nothing of it: see `PlacedField`.
"""

from __future__ import annotations

from .kms import KMSProvider as KMSProvider
from .local import LocalKeyProvider as LocalKeyProvider
from .options import Bits as Bits
from .options import Encrypted as Encrypted
from .options import Full as Full
from .plugin import EncryptionPlugin as EncryptionPlugin
from .provider import KeyProvider as KeyProvider
from .secret import Ephemeral as Ephemeral
from .secret import Secret as Secret
from .undecryptable import Undecryptable as Undecryptable

__all__ = [
    "Bits",
    "Encrypted",
    "EncryptionPlugin",
    "Ephemeral",
    "Full",
    "KMSProvider",
    "KeyProvider",
    "LocalKeyProvider",
    "Secret",
    "Undecryptable",
]
