"""A blog: FastAPI, pages made on the server, DynamoDB behind. Run it with ``python -m examples.blog``."""
