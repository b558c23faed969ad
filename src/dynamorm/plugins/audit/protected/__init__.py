"""Values of protected fields in records: sealed by whoever stores the field, and opened on request, which is recorded.

The audit trail knows no cipher and no key of theirs: the field's plugin seals a value for another place, `PlacedField.elsewhere`.
"""
