"""tmpfs: files in memory (tmpfs(5)), and memfd_create(2), whose files are of its kind."""
