"""Memory: frames, the object heap, address spaces."""
