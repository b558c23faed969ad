"""The verbs that write: from objects and updates to the writes that do it."""
