"""The commands of the console: one list for keys, footer, help and palette."""
