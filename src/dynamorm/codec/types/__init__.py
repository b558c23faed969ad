"""How each Python type is stored: the shapes that write the generated code, and the text of numbers and times."""
