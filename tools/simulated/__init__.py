"""A machine under CPython: the kernel boots on it, and Python functions are its programs."""
