"""The files of a release, built and checked: ``make release``."""
