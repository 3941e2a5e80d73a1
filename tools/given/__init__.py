"""Finds arithmetic on numbers that programs give which may not fit 64 bits, and so would trap (`./krait lint`)."""
