"""tracefs: the tracepoints."""
