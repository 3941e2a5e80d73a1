"""System calls: decode arguments into typed values, and call the subsystem that implements the call."""
