"""Profiles and what they start."""
