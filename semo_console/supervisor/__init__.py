"""The supervisor: the one background process that owns hub and agent, and starts again what dies."""
