"""Keys: small secrets that the kernel keeps for programs, in keyrings (keyrings(7))."""
