"""The common part of sockets of all families, and that of the two Internet families: names, ports, options."""
