"""Expressions: the text is parsed once, its names and values are put in for each request, and functions of items come out."""
