"""/sys. Importing `kernel.fs.sysfs.filesystem` registers the type."""
