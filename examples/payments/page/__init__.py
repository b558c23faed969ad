"""The page of the service: made on the server, with a few lines of script, and nothing from outside."""
