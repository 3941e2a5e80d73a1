"""devtmpfs, where drivers show their devices, and the devices that need no hardware: memory and the log."""
