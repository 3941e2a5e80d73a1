"""Kernels that can be started by this one: what their files say, and what they want to find in memory (kexec)."""
