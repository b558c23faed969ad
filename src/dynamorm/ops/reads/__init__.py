"""Reading by key, and what keys are made of."""
