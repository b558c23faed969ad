"""The consumer of a table's stream."""
