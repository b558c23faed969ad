"""The key service and the token service of AWS, as far as encryption at the client needs them. They know no tables."""
