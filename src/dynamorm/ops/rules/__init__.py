"""What a model demands of its writes: keys made of parts, what keeps its value, bounds, unique attributes."""
