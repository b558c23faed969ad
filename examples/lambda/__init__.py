"""Two functions of AWS Lambda: a webhook that is done once, and totals from a stream. See README.md."""
