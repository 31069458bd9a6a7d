"""The iTerm2 terminal: programs in tabs of iTerm2, their PTYs in the holder."""
