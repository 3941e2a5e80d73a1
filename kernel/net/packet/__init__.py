"""Packet sockets, which see whole frames (packet(7))."""
