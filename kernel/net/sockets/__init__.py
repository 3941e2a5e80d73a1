"""What sockets of all families share, and what the two Internet families add: names, ports, options."""
