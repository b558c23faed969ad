"""DynamoDB inside the process. It knows nothing of models."""
