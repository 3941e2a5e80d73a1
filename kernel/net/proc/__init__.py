"""What `/proc/net` shows of the network."""
