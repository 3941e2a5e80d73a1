"""The link layer: packets, interfaces, Ethernet frames, neighbours, and the thread and the timers of the network."""
