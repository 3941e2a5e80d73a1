"""System calls: decode arguments into typed values, call the subsystem that holds the meaning."""
