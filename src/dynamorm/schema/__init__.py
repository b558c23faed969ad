"""What a model is, as frozen data, and the options that its fields may have. Every room above reads it."""
