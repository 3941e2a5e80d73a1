"""How the network is set up: from the command line, by ioctl(2), by DHCP."""
