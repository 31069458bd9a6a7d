"""What an operator uses: the `semo` command and the console."""
