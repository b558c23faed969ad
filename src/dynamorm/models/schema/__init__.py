"""What a model is, as frozen data, and the options that its fields may have. Every package above reads it."""
