"""``python -m examples.payments.load``: charges while replies are lost and servers are killed, and counts what came of it."""
