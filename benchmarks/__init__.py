"""Measured figures: `make bench`."""
