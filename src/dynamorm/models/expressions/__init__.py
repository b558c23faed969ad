"""Paths, conditions, updates and projections, and DynamoDB's text for them."""
