"""Single values: operands and updates, what differs between two states, and the members that a model does not know."""
