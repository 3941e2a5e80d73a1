"""What every subsystem uses: error numbers, log, credentials, user memory, checksums."""
