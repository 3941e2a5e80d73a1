"""Bringing the kernel up: memory, devices, the root file system, the first program."""
