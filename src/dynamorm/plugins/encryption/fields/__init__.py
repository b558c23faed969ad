"""What stores an encrypted field: a value becomes an envelope of its place, and the other way round."""

from .field import EncryptedField

__all__ = ["EncryptedField"]
