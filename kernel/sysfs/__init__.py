"""/sys: mountable, and nearly empty. Importing `kernel.sysfs.filesystem` registers the type."""
