"""A shop in one table: catalogue, carts, stock reserved in transactions, orders. Run it with ``python -m examples.ecommerce``."""
