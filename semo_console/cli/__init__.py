"""The `semo` command."""
