"""Processors. Everything that knows one lives here; the rest of the kernel names its functions, not its registers."""
