"""Block devices as programs see them: device files, partitions, loop devices."""
