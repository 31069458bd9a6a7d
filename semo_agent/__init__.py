"""The headless agent: runs on a host, types into terminals and reports what it saw."""
