"""The licence of the features that ask for one: read and checked offline, and asked for where a feature is enabled.

Nothing is ever asked in front of data that is stored: a verb knows no licence. What is in here can be removed by anybody
who wishes so; the Apache License 2.0 permits it.
"""
