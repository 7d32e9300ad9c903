"""What `z0 bench` runs: measurements, each against a peer in the same run where it is a ratio. See README.md."""
