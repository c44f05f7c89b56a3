"""Runs from files: what watches and phones record, one by one or as a whole archive."""
