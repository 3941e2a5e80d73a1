"""/proc: what the kernel knows, as text files (proc(5)). Importing `kernel.fs.procfs.filesystem` registers the type."""
