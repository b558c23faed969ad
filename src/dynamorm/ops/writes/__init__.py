"""One write, or several as a transaction: described, sent exactly once, and settled when no answer came."""
