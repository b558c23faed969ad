"""Modules with models, written for tables and documents of others: a stranger's name stands in them inside ``repr()`` alone."""
