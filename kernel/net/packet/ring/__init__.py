"""Rings that packet sockets share with programs (packet(7)); `rings.py` is what a socket has of them."""
