"""Everything that the console shows, and what changes it. Knows neither Textual nor the network."""
