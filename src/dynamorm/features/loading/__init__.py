"""What is done with objects that a program has: read anew, changed by a mapping, saved side by side, completed by what they refer to."""
