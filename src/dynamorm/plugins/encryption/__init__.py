"""Encryption of fields: `Encrypted` and `Ephemeral` say which, a provider gives the keys, the plugin seals and opens.

Each stored value is bound to its item, its attribute and its tenant. The core knows nothing of it: see `PlacedField`.
"""
