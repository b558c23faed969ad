"""What is built on the operations and is independent of one another: a feature may name `dynamorm.ops`, never the reverse."""
