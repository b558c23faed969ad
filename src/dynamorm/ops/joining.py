"""What joins plugins to the calls: the looks at what they give, and what asks and tells them of each request.

A session loads it with the first plugin it has.
"""

from .calls.attempt_hooks import Watch
from .calls.capacity_asked import asking
from .calls.own_credentials import OwnWays, choosing, over
from .moment_checks import companions, field_hook, layer, model_hook

__all__ = ["OwnWays", "Watch", "asking", "choosing", "companions", "field_hook", "layer", "model_hook", "over"]
