"""What is known of a table and of its indexes, as they are worked with. It knows no operations."""
