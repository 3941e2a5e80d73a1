"""The network: packets, protocols, sockets."""
