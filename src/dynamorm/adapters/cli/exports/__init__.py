"""What others make of models: JSON Schema, and documents of the libraries that share tables with this one."""
