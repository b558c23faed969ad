"""``dynamorm``, the command line: tables, items, exports and imports, and what runs for long. It needs the extra ``cli``.

Exit codes: 0 done; 1 refused by the service, or for the data; 2 wrong usage; 3 not found; 4 nothing to reach (endpoint,
credentials); 5 stopped half-way, resumable; 130 Ctrl-C. What is asked for goes to stdout, all else to stderr.
"""

from __future__ import annotations
