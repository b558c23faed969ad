"""The operations, each written once as a flow. They know DynamoDB's verbs; they do no I/O."""
