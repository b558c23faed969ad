"""The key service and the token service of AWS, as far as encryption at the client needs them. They know no tables."""

from typing import Final

TARGET: Final = "TrentService."
"""What ``X-Amz-Target`` begins with for the key service."""
