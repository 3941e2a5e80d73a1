"""Rings that packet sockets share with programs (packet(7)); `rings.py` holds those of one socket."""
