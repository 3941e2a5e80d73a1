"""The internet layer: IPv4 and IPv6, routes and addresses, ICMP, groups; the interface to transport protocols."""
