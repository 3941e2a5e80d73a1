"""Debian's nft, as it is: what it lists, says and lets through on Krait is what it does on Linux.

Each script has a network of its own. Process numbers and times that run differ, so no script prints them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts, text_of
from tests.harness.guest import PATIENCE
from tests.harness.scripts import LISTENS
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))

PROGRAMS = ("/usr/sbin/nft", "/usr/sbin/ip", "/usr/bin/unshare", "/usr/bin/setpriv")
SERVER = """\
flush ruleset
define WEB = { 80, 443, 8000-8999 }
table inet filter {
    counter refused { }
    set admins { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.7 } }
    set blocked { type ipv4_addr; flags timeout, dynamic; timeout 1h; size 1000; }
    map service { type inet_service : verdict; elements = { 22 : jump ssh, 53 : accept } }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iif "lo" accept comment "this host"
        ip saddr @blocked counter drop
        icmp type echo-request limit rate 10/second burst 20 packets accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, echo-request } accept
        tcp dport $WEB accept
        tcp dport vmap @service
        meta l4proto { tcp, udp } th dport 5353 ip daddr 224.0.0.251 accept
        tcp flags & (fin | syn | rst | ack) == syn counter name refused reject with tcp reset
        counter reject with icmpx admin-prohibited
    }
    chain ssh {
        ip saddr @admins accept
        add @blocked { ip saddr timeout 10m }
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        tcp flags syn tcp option maxseg size set rt mtu
        iifname "inside*" oifname "outside" ct state new accept
        ip saddr . tcp dport { 10.1.0.2 . 80, 10.1.0.3 . 443 } accept
        ct mark set meta mark
    }
    chain output { type filter hook output priority 0; policy accept; meta mark set 0x2a; ip dscp set cs1; }
}
table ip nat {
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 8080 dnat to 10.1.0.2:80
        tcp dport 2222 redirect to :22
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "outside" masquerade
        ip saddr 10.2.0.0/16 snat to 192.0.2.1-192.0.2.9
    }
}
table ip6 raw {
    chain prerouting { type filter hook prerouting priority raw; ip6 saddr fe80::/10 notrack; exthdr frag exists drop; }
}
"""
EXPRESSIONS = """\
table inet t {
    set typed { typeof ip saddr . tcp dport; flags interval; elements = { 10.0.0.0/8 . 80, 1.1.1.1-1.1.1.9 . 1-9 }; }
    map ranges { type inet_service : mark; flags interval; elements = { 1-99 : 5, 100-200 : 6 }; }
    map targets { type ipv4_addr : ipv4_addr . inet_service; elements = { 1.2.3.4 : 10.0.0.1 . 80 }; }
    set heard { type ipv4_addr; flags dynamic, timeout; timeout 1m; size 50; }
    set six { type ipv6_addr; flags interval; elements = { fe80::/10, 2001:db8::1-2001:db8::5 }; }
    chain in {
        type filter hook input priority filter + 10;
        meta mark set tcp dport map @ranges
        ip saddr . tcp dport @typed accept
        ip6 saddr @six accept
        update @heard { ip saddr limit rate over 10/second } drop
        ct mark 5-9 ct direction original ct state != new accept
        ct original ip saddr 10.0.0.1 counter
        ip version 4 ip hdrlength 5 ip ttl < 5 ip protocol icmp icmp code 3 drop
        ip6 hoplimit 255 ip6 nexthdr icmpv6 icmpv6 code 1
        meta length > 1000 meta pkttype broadcast meta iifname != "e*" drop
        meta hour 8-17 meta day Monday accept
        tcp flags != syn,ack tcp sequence 5 tcp window > 100
        udp length 8 udp checksum 0 @th,16,16 0x50 accept
        iif . ip saddr { "lo" . 127.0.0.1 } accept
        ip saddr & 0.0.0.255 == 0.0.0.7 accept
        ip daddr set 1.2.3.4
        ip6 dscp set ef
        tcp dport set 99
        ct state invalid reject with icmpv6 admin-prohibited
    }
    chain pre {
        type nat hook prerouting priority -100;
        ip protocol tcp dnat ip to ip daddr map @targets
        tcp dport 5 redirect to :6-9 random,persistent
    }
    chain post {
        type nat hook postrouting priority 100;
        meta l4proto tcp masquerade to :1024-2000 fully-random
        meta l4proto udp snat ip6 to [2001:db8::1]:7
    }
}
table ip6 x { chain y { ip6 saddr ::1 goto z; }; chain z { return; }; }
"""
NETWORKS = """\
for name in red blue; do ip netns add $name; ip -n $name link set lo up; done
ip link add left address 02:00:00:00:00:01 netns red type veth peer name right address 02:00:00:00:00:02 netns blue
ip -n red address add 10.1.1.1/24 dev left; ip -n red link set left up
ip -n blue address add 10.1.1.2/24 dev right; ip -n blue link set right up
ip netns exec red ping -c 1 -W 5 10.1.1.2 > /dev/null
"""
SCRIPTS = {
    "ruleset": """\
nft list ruleset; echo "status $?"
nft -c -f /firewall/server.nft; echo "status $?"; nft list ruleset
nft -f /firewall/server.nft; echo "status $?"
nft list ruleset; nft -a list ruleset | grep -c handle; nft -s list chain inet filter input; nft -n list table ip6 raw
nft -j list ruleset
nft list tables; nft list chains; nft list sets; nft list maps; nft list counters
nft list ruleset > /tmp/once; nft -f /firewall/server.nft; nft list ruleset | cmp - /tmp/once && echo "the same"
(echo flush ruleset; cat /tmp/once) | nft -f -; nft list ruleset | cmp - /tmp/once && echo "the same"
nft flush ruleset; echo "status $?"; nft list ruleset
""",
    "expressions": """\
exec 2>&1
nft -f /firewall/expressions.nft; echo "status $?"; nft list ruleset; nft -t list ruleset | head -20
nft reset rules | head -3; nft -j list table ip6 x
nft 'add rule inet t in ip saddr 1.1.1.1 drop; add rule inet t in bogus'
nft list ruleset inet; nft list ruleset ip; nft flush ruleset ip6; nft list tables; nft flush ruleset
""",
    "changes": """\
nft add table t; nft add chain t c; nft add chain t base '{ type filter hook input priority 5; policy accept; }'
nft add rule t c tcp dport 1 accept; nft add rule t c tcp dport 3 drop; nft insert rule t c tcp dport 0 return
nft -a list chain t c; nft add rule t c handle 3 tcp dport 2; nft -a list chain t c
nft replace rule t c handle 4 udp dport 9 counter; nft delete rule t c handle 5; nft -a list chain t c
nft insert rule t c index 1 tcp sport 7; nft -a list chain t c
nft add rule t base jump c; nft delete chain t c; echo "status $?"
nft rename chain t c d; nft list table t; nft chain t base '{ policy drop; }'; nft list chain t base
nft -e -a add rule t d tcp dport '{ 5, 6, 7 }' accept | sed 's/by process .*//'
nft list chain t d; nft flush chain t d; nft list table t
nft add table t '{ flags dormant; }'; nft list table t; nft add table t; nft list table t
nft create table t; echo "status $?"; nft destroy table none; echo "status $?"
nft delete table t; nft list tables; echo "status $?"
nft -f - << 'END'; echo "status $?"
table inet x { chain a { jump b; }; chain b { jump c; }; chain c { accept; } }
delete chain inet x a
add rule inet x b counter
END
nft list ruleset
""",
    "sets": """\
nft add table t
nft add set t ports '{ type inet_service; }'; nft add element t ports '{ 1, 2, 3 }'; nft add element t ports '{ 3, 4 }'
nft list set t ports; nft delete element t ports '{ 2 }'; nft list set t ports
nft get element t ports '{ 3 }'; nft get element t ports '{ 9 }'; nft create element t ports '{ 3 }'
nft delete element t ports '{ 77 }'; echo "status $?"
nft add set t nets '{ type ipv4_addr; flags interval; auto-merge; }'
nft add element t nets '{ 10.0.0.0/8, 192.168.0.0/24, 192.168.1.0/24, 172.16.0.5-172.16.0.9 }'; nft list set t nets
nft get element t nets '{ 10.3.4.5 }'; nft get element t nets '{ 11.0.0.1 }'
nft add set t strict '{ type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }'
nft add element t strict '{ 10.1.0.0/16 }'; echo "status $?"; nft list set t strict
nft delete element t strict '{ 10.0.0.0/8 }'; nft list set t strict
nft add set t pairs '{ type ipv4_addr . inet_service; flags interval; }'
nft add element t pairs '{ 10.0.0.0/8 . 80-90, 1.2.3.4 . 5 }'; nft list set t pairs
nft add element t pairs '{ 10.0.0.0/24 . 85 }'; echo "status $?"
nft add map t names '{ type inet_service : ipv4_addr; }'; nft add element t names '{ 80 : 10.0.0.1, 443 : 10.0.0.2 }'
nft add element t names '{ 80 : 10.0.0.9 }'; echo "status $?"; nft list map t names
nft add map t ways '{ type ifname : verdict; }'; nft add chain t a; nft add element t ways '{ "lo" : jump a }'
nft add element t ways '{ "lo" : jump a, "eth0" : goto a }'; nft list map t ways; nft delete chain t a; echo "status $?"
nft add set t counted '{ type ipv4_addr; counter; size 3; }'; nft add element t counted '{ 1.1.1.1, 1.1.1.2, 1.1.1.3 }'
nft add element t counted '{ 1.1.1.4 }'; echo "status $?"; nft list set t counted
nft add element t counted '{ 1.1.1.1 counter packets 5 bytes 7 }'; nft add set t timed '{ type mark; timeout 90s; }'
nft add element t timed '{ 1 timeout 1s, 2 timeout 1h }'; sleep 2; nft list set t timed | sed 's/ expires [^ }]*//'
nft flush set t nets; nft list set t nets; nft delete set t nets
nft list sets t | sed 's| expires [^ }]*||'
nft add counter t hits; nft add limit t slow '{ rate 5/minute burst 9 packets; }'; nft list counters; nft list limits
nft add rule t a counter name hits limit name slow; nft delete counter t hits; echo "status $?"
nft list table t | sed 's/ expires [^ }]*//'; nft delete table t; nft list ruleset
""",
    "packets": NETWORKS
    + """\
ip netns exec blue sh << 'INSIDE'
nft -f - << 'END'
table inet filter {
    set open { type inet_service; elements = { 7000 }; }
    set seen { type ipv4_addr . inet_service; flags dynamic; size 100; counter; }
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related counter accept
        icmp type echo-request counter packets 0 bytes 0 accept
        tcp dport 7001 counter reject with tcp reset
        udp dport 9 counter reject with icmp port-unreachable
        tcp flags & (syn | ack) == syn add @seen { ip saddr . tcp dport }
        tcp dport @open counter accept
    }
}
END
INSIDE
ip netns exec blue nc -l -p 7000 -e cat & listens 7000 blue
ip netns exec red ping -c 3 -i 0.2 -s 100 -W 5 10.1.1.2 | grep -o '3 packets received\\|3 received'
echo hello | ip netns exec red nc -w 3 10.1.1.2 7000 2>&1; kill %1 2> /dev/null
ip netns exec red nc -w 3 10.1.1.2 7001 2>&1; echo "status $?"
ip netns exec red nc -w 1 10.1.1.2 7002 2>&1; echo "status $?"
ip netns exec blue nft list chain inet filter input | sed '/established/s/counter.*accept/counter accept/'
ip netns exec blue nft list set inet filter seen | grep -c '10.1.1.1 . 700[02]'
ip netns exec blue ping -c 1 -W 5 10.1.1.1 | grep -c ttl=64
ip netns exec blue nft add table ip out
ip netns exec blue nft add chain ip out c '{ type filter hook output priority 0; policy drop; }'
ip netns exec blue ping -c 1 -W 1 10.1.1.1 2>&1 | tail -1 | sed 's/, time.*//'
ip netns exec blue nft reset counters; ip netns exec blue nft flush ruleset
ip netns exec blue ping -c 1 -W 5 10.1.1.1 | grep -c ttl=64
ip netns del red; ip netns del blue
""",
    "router": """\
for name in left middle right; do ip netns add $name; ip -n $name link set lo up; done
ip link add v1 netns left type veth peer name v2 netns middle
ip link add v3 netns middle type veth peer name v4 netns right
ip -n left address add 10.1.0.2/24 dev v1; ip -n middle address add 10.1.0.1/24 dev v2
ip -n middle address add 10.2.0.1/24 dev v3; ip -n right address add 10.2.0.2/24 dev v4
for pair in left.v1 middle.v2 middle.v3 right.v4; do ip -n ${pair%.*} link set ${pair#*.} up; done
ip -n left route add default via 10.1.0.1
ip netns exec middle sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
ip netns exec left ping -c 1 -W 1 10.2.0.2 | grep -c ttl=
ip netns exec middle nft -f - << 'END'
table ip nat {
    chain post { type nat hook postrouting priority srcnat; oifname "v3" counter masquerade; }
    chain pre { type nat hook prerouting priority dstnat; iifname "v3" tcp dport 8080 counter dnat to 10.1.0.2:80; }
}
table ip filter {
    chain forward {
        type filter hook forward priority 0; policy drop;
        tcp flags & syn == syn tcp option maxseg size set 1000
        ct state established,related accept
        iifname "v2" oifname "v3" accept
        ct status dnat accept
    }
}
END
ip netns exec left ping -c 1 -W 5 10.2.0.2 | grep -o ttl=63
ip netns exec right nc -l -p 7000 > /tmp/got & listens 7000 right
head -c 300000 /dev/zero | tr '\\0' r > /tmp/sent; ip netns exec left nc -w 3 10.2.0.2 7000 < /tmp/sent
wait; cmp /tmp/got /tmp/sent && echo "the same"
ip netns exec left nc -l -p 80 > /tmp/got & listens 80 left
echo through | ip netns exec right nc -w 3 10.2.0.1 8080; wait; cat /tmp/got
ip netns exec middle nft list table ip nat | sed 's/bytes [0-9]*/bytes/'
ip netns exec right nft -f - << 'END'
table ip seen { chain c { type filter hook input priority 0; tcp dport 7003 tcp option maxseg size 1000 counter; }; }
END
echo x | ip netns exec left nc -w 1 10.2.0.2 7003; ip netns exec right nft list table ip seen
for name in left middle right; do ip netns del $name; done
""",
    "monitor": """\
# Until the monitor has subscribed to the changes (netlink's family 12), and until it has told of the last one.
listening() {
    for i in $(seq 200); do grep -qE '^[0-9a-f]+ +12 +[0-9]+ +0*[1-9a-f]' /proc/net/netlink && break; sleep 0.1; done
}
told() { for i in $(seq 200); do test $(grep -c "$1" /tmp/heard) -ge $2 && break; sleep 0.1; done; }
nft monitor > /tmp/heard & listening
nft add table t; nft add chain t c '{ type filter hook input priority 0; }'; nft add set t s '{ type inet_service; }'
nft add element t s '{ 5, 6 }'; nft add rule t c tcp dport @s counter accept; nft delete element t s '{ 5 }'
nft flush chain t c; nft add counter t n; nft delete table t; told generation 9
kill %1; wait 2> /dev/null; sed 's/^# new generation .*/# new generation/' /tmp/heard
nft -j monitor > /tmp/heard & listening; nft add table t; nft delete table t; told '"pid"' 2; kill %1; wait 2> /dev/null
grep -v '"pid"' /tmp/heard
""",
    "errors": """\
exec 2>&1
nft add rule none c accept; echo "status $?"
nft add table t; nft add rule t none accept; nft add chain t c; nft add rule t c jump none; nft add rule t c jump c
nft add rule t c tcp dport @none accept; nft add rule t c counter name none; nft delete rule t c handle 99
nft list table none; nft list chain t none; nft list set t none; nft delete table none; nft delete chain t none
nft create chain t c; nft add chain t b '{ type filter hook none priority 0; }'; nft list table ip6 t
nft add chain t n '{ type nat hook forward priority 0; }'; nft add rule t c masquerade
nft add chain t p '{ type filter hook prerouting priority 0; }'; nft add rule t p masquerade; nft add rule t p oif lo
nft add rule t p jump c; nft add rule t c tcp dport 70000; nft add rule t c nonsense; nft delete set t none
nft add rule t c numgen inc mod 0; nft add rule t c limit rate 0/second; nft list ruleset
nft -f - << 'END'
add rule t c accept
add rule t nowhere accept
add element t nothing { 1 }
END
nft list ruleset
nft delete table t
""",
    "user": """\
exec 2>&1
setpriv --reuid 1000 --regid 1000 --clear-groups nft list ruleset; echo "status $?"
setpriv --reuid 1000 --regid 1000 --clear-groups unshare -Urn sh -c 'nft list ruleset; nft add table x; nft list tables'
nft list tables
""",
    "many": """\
(echo 'table t { set big { type ipv4_addr; flags interval; elements = {'
awk 'BEGIN { for (i = 0; i < 4000; i++) printf "10.%d.%d.0/25,", i / 256, i % 256 }'; echo '10.99.0.1 }; }; chain c {'
echo 'type filter hook input priority 0;'
awk 'BEGIN { for (i = 0; i < 10000; i++) printf "tcp dport %d counter accept\\n", i + 1 }'; echo '}; }') > /tmp/many.nft
nft -f /tmp/many.nft; echo "status $?"
nft list table t | grep -c accept; nft list set t big | grep -o '10[.0-9/]*' | wc -l
ip link set lo up; ping -c 2 -i 0.2 -W 5 127.0.0.1 | grep -o '2 packets received\\|2 received'
nft add rule t c drop; nft -a list chain t c | tail -3 | head -1; nft get element t big '{ 10.3.7.9 }'
nft -f /tmp/many.nft; echo "status $?"
nft flush chain t c; nft list chain t c; nft delete table t; nft list ruleset
""",
}
SURROUNDINGS = "export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/\nmkdir -p /run /sys\n" + LISTENS


def image() -> Archive:
    require("firewall")
    files = Archive()
    for name in PROGRAMS:
        add_program(files, Path(name))
    for name, text in SCRIPTS.items():
        files.file(f"firewall/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    files.file("firewall/server.nft", SERVER.encode())
    files.file("firewall/expressions.nft", EXPRESSIONS.encode())
    return files


def batch() -> Batch:
    cases = [Case(name, ("/usr/bin/unshare", "-n", "/bin/sh", f"/firewall/{name}.sh"), 60) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="512M"), needs_modules=True)


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("firewall", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_it_does_what_it_is_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert linux["ruleset"].count("the same") == 2 and "masquerade" in linux["ruleset"]
    assert "3 packets received" in linux["packets"] and "hello" in linux["packets"]
    assert "ttl=63" in linux["router"] and "through" in linux["router"]
    assert "add table" in linux["monitor"] and "delete table" in linux["monitor"]
    assert "10001" in linux["many"]
    assert all(text.endswith("exit 0") for text in linux.values())
