"""Lifecycle hooks of agent CLIs: attached to one launch, spooled on disk by a small program, read by the agent."""
