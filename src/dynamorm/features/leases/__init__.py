"""The right to do something alone for a while."""
