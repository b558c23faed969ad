"""How an update becomes one expression: what it begins from, what completes the item it makes, and the bounds it keeps."""
