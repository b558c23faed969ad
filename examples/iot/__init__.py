"""Weather stations: readings by the batcher, daily values from the stream, plots. Run it with ``python -m examples.iot``."""
