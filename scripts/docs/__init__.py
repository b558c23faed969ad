"""How the documentation is built: pages of ``docs`` as they are, and pages that are made from the code."""
