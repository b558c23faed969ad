"""Single items, batches and transactions."""
