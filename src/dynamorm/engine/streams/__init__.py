"""Streams: the records of what changed, and the operations that read them."""
