"""Hooks of agent CLIs."""
