"""Block devices: requests, partition tables, the list of all."""
