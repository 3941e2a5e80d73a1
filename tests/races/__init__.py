"""Races of the kernel: random programs under CPython, with switches wherever the kernel may be preempted."""
