"""The network: packets, protocols, sockets. Rooms in layers that import downwards only (docs/architecture.md)."""
