"""One TOML per CLI, and the code that reads them."""
