"""What scanners say of the repository, and what of it is allowed: part of ``make lint``."""
