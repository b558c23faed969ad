"""One call to DynamoDB: sent, verified, tried again, told as an error."""
