"""Sockets between a virtual machine and its host, and within a machine: AF_VSOCK (vsock(7))."""
