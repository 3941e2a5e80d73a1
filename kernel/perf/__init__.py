"""Performance events (perf_event_open(2)): counters and samples of software events and tracepoints."""
