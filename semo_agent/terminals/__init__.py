"""Terminals behind one contract."""
