"""Fetch Debian's Linux kernel, the oracle of our tests: behaviour is compared with it in the same virtual machine.

The package is unpacked under `build/oracle/`, not installed. Run as `python -m tools.oracle`.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
from pathlib import Path

from tools.debian import fetch_binary
from tools.lock import exclusively
from tools.paths import ORACLE

# Drivers and protocols that Debian's kernel has as modules, and our tests need; each after those that it depends on.
MODULES = (
    "virtio_blk", "loop", "failover", "net_failover", "virtio_net",
    "inet_diag", "tcp_diag", "udp_diag", "raw_diag", "unix_diag", "veth", "dummy", "overlay",
    "tun", "llc", "stp", "bridge", "macvlan",
    "nfnetlink", "libcrc32c", "nf_tables", "nf_reject_ipv4", "nf_reject_ipv6", "nft_reject", "nft_reject_inet",
    "nft_fib", "nft_fib_ipv4", "nft_fib_ipv6", "nft_fib_inet",
    "nft_limit", "nf_defrag_ipv4", "nf_defrag_ipv6", "nf_conntrack", "nft_ct", "nf_nat", "nft_chain_nat", "nft_nat",
    "nft_masq", "nft_redir", "nf_conntrack_netlink",
    "vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport", "vsock_loopback", "vsock_diag",
    "qemu_fw_cfg", "binfmt_misc", "configfs", "autofs4",
    "watchdog", "pretimeout_noop", "pretimeout_panic", "i6300esb",
    "x_tables", "nft_compat", "xt_tcpudp", "xt_conntrack", "xt_state", "xt_comment", "xt_multiport", "xt_addrtype",
    "xt_mark", "xt_connmark", "xt_mac", "xt_limit", "xt_statistic", "xt_iprange", "xt_tcpmss", "xt_pkttype",
    "xt_length", "xt_nat", "xt_MASQUERADE", "xt_REDIRECT", "xt_NETMAP", "ipt_REJECT", "ip6t_REJECT",
    "nf_log_syslog", "xt_LOG", "xt_TCPMSS", "xt_CT", "xt_owner", "ts_bm", "ts_kmp", "xt_string",
)


def fetch_oracle() -> Path:
    """The path of a Linux kernel image that QEMU can boot."""
    with exclusively("oracle"):
        return ORACLE if ORACLE.exists() and all(path.exists() for path in module_paths()) else _fetch()


def module_paths() -> list[Path]:
    """The modules that belong to the kernel image, once it was fetched."""
    return [ORACLE.parent / f"{name}.ko" for name in MODULES]


def _fetch() -> Path:
    directory = ORACLE.parent
    package = fetch_binary("linux-image-cloud-amd64", "linux-image-", directory)
    unpacked = directory / "package"
    subprocess.run(["dpkg-deb", "--extract", str(package), str(unpacked)], check=True)
    for path in module_paths():
        (packed,) = unpacked.rglob(f"{path.name}.xz")
        path.write_bytes(lzma.decompress(packed.read_bytes()))
    (kernel,) = (unpacked / "boot").glob("vmlinuz-*")
    kernel.rename(directory / "vmlinuz.new")
    (directory / "vmlinuz.new").rename(ORACLE)
    shutil.rmtree(unpacked)
    package.unlink()
    return ORACLE


if __name__ == "__main__":
    print(fetch_oracle())
