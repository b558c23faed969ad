"""Replies of DynamoDB and records of its streams, read strictly into objects."""
