"""Block devices: requests, partitions, and the devices that are files."""

from kernel.block.device import BLOCK_DEVICES, SECTOR_SIZE, BlockDevice, BlockRequest, Operation, flush, transfer

__all__ = ["BLOCK_DEVICES", "SECTOR_SIZE", "BlockDevice", "BlockRequest", "Operation", "flush", "transfer"]
