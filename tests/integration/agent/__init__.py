"""The agent's parts together with real terminals and real programs."""
