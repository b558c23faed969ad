"""Values as the wire has them: checked, brought into one form, measured; keys as bytes whose order is DynamoDB's."""
