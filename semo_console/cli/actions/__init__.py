"""What the verbs do; loaded only when one runs."""
