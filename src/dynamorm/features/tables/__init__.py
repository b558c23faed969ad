"""Tables as the models want them, as they are, and the way from one to the other. Returns flows.

``wanted`` merges the models of a table, ``definition`` says it in DynamoDB's words, ``description`` reads what is there,
``fit`` compares, ``plan`` and ``apply`` make the difference, ``lifecycle`` creates and deletes, ``changes`` sends.
"""
