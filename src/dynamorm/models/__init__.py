"""A class body becomes a schema: declarations, their checks, and the generated methods."""
