"""The faces, the top of the house: what `DB` and `AsyncDB` are made of. Everything they do is in `dynamorm.ops`.

Here is what both share; `blocking` and `aio` hold the two faces, under the same names of files.
"""
