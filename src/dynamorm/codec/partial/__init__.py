"""Objects that hold a part of an item: their classes, and the reading of replies into them."""
