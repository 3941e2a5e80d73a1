"""Sockets that send datagrams over IP: UDP, raw and ping sockets (udp(7), raw(7), icmp(7))."""
