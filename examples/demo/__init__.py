"""The demo: payments under contention, over a network that loses replies. Run it with ``python -m dynamorm.demo``.

It uses public names only, and prints; nothing of the library may import it.
"""
