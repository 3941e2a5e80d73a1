"""The file system of control groups."""
