"""A page to look at: `Dashboard` serves the figures of one database, live, on this machine.

It reads what the plugins of its database tell, and notes the slowest and the last verbs itself: no key and no value.
"""

from .plugin import Dashboard as Dashboard
