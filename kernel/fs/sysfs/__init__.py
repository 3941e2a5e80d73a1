"""/sys: mountable, and nearly empty. Importing `kernel.fs.sysfs.filesystem` registers the type."""
