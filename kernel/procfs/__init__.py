"""/proc: what the kernel knows, as text files (proc(5)). Importing `kernel.procfs.filesystem` registers the type."""
