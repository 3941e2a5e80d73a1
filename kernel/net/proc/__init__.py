"""The network's files in `/proc/net`."""
