"""Hashes, a cipher, and arithmetic with large numbers, for the keys of programs (kernel/keys)."""
