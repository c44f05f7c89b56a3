"""Measurements: what a request costs beside a bare handler, how long answers take under load, and lifters at work."""
