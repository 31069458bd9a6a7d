"""The office: what clients and agents share, and the use-cases of the office server."""
