"""Virtio: the devices that virtual machines provide. The ring and the transports are shared, each device has a driver.

Unlike the chips in `kernel.drivers.platform`, these drivers stand above the block layer, the network and the
scheduler, whose base classes they derive from. None of them trusts the device: numbers are checked, and a device that
breaks the rules is switched off; its users get EIO.
"""
