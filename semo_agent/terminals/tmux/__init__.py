"""The tmux terminal: programs in a tmux server of our own, their output kept by the holder."""
