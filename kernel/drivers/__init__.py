"""Drivers: `platform` has the chips and buses of the machine, `virtio` the devices of virtual machines."""
