"""The header in front of every frame that goes to or comes from a virtio network card.

Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.1.6 (struct virtio_net_hdr).
"""

from typing import Final

HEADER_SIZE: Final = 12
HEADER_FLAGS: Final = 0
HEADER_GSO_TYPE: Final = 1
HEADER_LENGTH: Final = 2
HEADER_GSO_SIZE: Final = 4
HEADER_CHECKSUM_START: Final = 6
HEADER_CHECKSUM_OFFSET: Final = 8
HEADER_BUFFERS: Final = 10
NEEDS_CHECKSUM: Final = 1
DATA_VALID: Final = 2
GSO_TCP4: Final = 1
GSO_TCP6: Final = 4
GSO_ECN: Final = 0x80
