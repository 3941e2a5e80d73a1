"""Debian's iptables-nft, as it is: what it lists, says and lets through on Krait is what it does on Linux.

Each script has a network of its own. The rules are those of docker, of netavark (podman) and of a workstation.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts, text_of
from tests.harness.guest import PATIENCE
from tests.harness.scripts import LISTENS
from tools.cpio import Archive
from tools.libraries import add_libraries, add_program, interpreter
from tools.machine import Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))

PROGRAMS = ("/usr/sbin/xtables-nft-multi", "/usr/sbin/nft", "/usr/sbin/ip", "/usr/bin/unshare", "/usr/bin/setpriv")
NAMES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
EXTENSIONS = Path("/usr/lib/x86_64-linux-gnu/xtables")

DOCKER = """\
iptables -N DOCKER; iptables -N DOCKER-USER; iptables -N DOCKER-ISOLATION-STAGE-1; iptables -N DOCKER-ISOLATION-STAGE-2
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
iptables -t nat -A DOCKER -i docker0 -j RETURN
iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -A DOCKER-USER -j RETURN
iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN
iptables -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
iptables -A DOCKER-ISOLATION-STAGE-2 -j RETURN
iptables -I FORWARD -j DOCKER-USER; iptables -I FORWARD 2 -j DOCKER-ISOLATION-STAGE-1
iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT; iptables -A FORWARD -i docker0 -o docker0 -j ACCEPT
iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
iptables -P FORWARD DROP
"""
NETAVARK = """\
iptables -t nat -N NETAVARK-1D8721804F16F; iptables -t nat -N NETAVARK-HOSTPORT-SETMARK
iptables -t nat -N NETAVARK-HOSTPORT-MASQ; iptables -t nat -N NETAVARK-HOSTPORT-DNAT; iptables -t nat -N NETAVARK-DN-1
iptables -N NETAVARK_FORWARD; iptables -N NETAVARK_INPUT; iptables -N NETAVARK_ISOLATION_3
iptables -t nat -A NETAVARK-1D8721804F16F -d 10.88.0.0/16 -j ACCEPT
iptables -t nat -A NETAVARK-1D8721804F16F ! -d 224.0.0.0/4 -j MASQUERADE
iptables -t nat -A POSTROUTING -s 10.88.0.0/16 -j NETAVARK-1D8721804F16F
iptables -t nat -A NETAVARK-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
iptables -t nat -A NETAVARK-HOSTPORT-MASQ -j MASQUERADE -m comment --comment "netavark portfw masq mark" \
    -m mark --mark 0x2000/0x2000
iptables -t nat -I POSTROUTING -j NETAVARK-HOSTPORT-MASQ
iptables -t nat -A PREROUTING -j NETAVARK-HOSTPORT-DNAT -m addrtype --dst-type LOCAL
iptables -t nat -A OUTPUT -j NETAVARK-HOSTPORT-DNAT -m addrtype --dst-type LOCAL
iptables -t nat -A NETAVARK-DN-1 -j NETAVARK-HOSTPORT-SETMARK -s 10.88.0.0/16 -p tcp --dport 8080
iptables -t nat -A NETAVARK-DN-1 -j NETAVARK-HOSTPORT-SETMARK -s 127.0.0.1 -p tcp --dport 8080
iptables -t nat -A NETAVARK-DN-1 -j DNAT -p tcp --to-destination 10.88.0.2:80 --destination-port 8080
iptables -t nat -A NETAVARK-HOSTPORT-DNAT -j NETAVARK-DN-1 -p tcp --dport 8080 -m comment --comment "dnat name: podman"
iptables -A FORWARD -m comment --comment "netavark firewall rules" -j NETAVARK_FORWARD
iptables -A INPUT -m comment --comment "netavark firewall rules" -j NETAVARK_INPUT
iptables -A NETAVARK_FORWARD -m conntrack --ctstate INVALID -j DROP
iptables -A NETAVARK_FORWARD -d 10.88.0.0/16 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT
iptables -A NETAVARK_INPUT -p udp -s 10.88.0.0/16 --dport 53 -j ACCEPT
"""
WORKSTATION = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [3:180]
:LOGDROP - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 5/sec -j ACCEPT
-A INPUT -p tcp -m multiport --dports 22,80,8000:8100 -m conntrack --ctstate NEW -j ACCEPT
-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG FIN,PSH,URG -j LOGDROP
-A INPUT -p tcp -m tcp --tcp-option 8 --dport 5 -j ACCEPT
-A INPUT -s 192.168.0.0/24 -p udp -m udp --sport 68 --dport 67 -j ACCEPT
-A INPUT -m iprange --src-range 10.0.0.5-10.0.0.9 ! --dst-range 10.1.0.0-10.1.0.9 -j ACCEPT
-A INPUT -m mac --mac-source 02:00:00:00:00:01 -j ACCEPT
-A INPUT -m pkttype --pkt-type broadcast -j DROP
-A INPUT -m length --length 1400:65535 -j LOGDROP
-A INPUT -m statistic --mode random --probability 0.50000000000 -j ACCEPT
-A INPUT -m statistic --mode nth --every 4 --packet 2 -j ACCEPT
-A INPUT -m connmark --mark 0x7/0xff -j ACCEPT
-A INPUT -m mark ! --mark 0x7 -j ACCEPT
-A INPUT -p tcp -m tcpmss --mss 1:500 -j DROP
-A INPUT -m conntrack --ctproto 6 --ctorigsrc 10.0.0.0/8 --ctstatus CONFIRMED --ctdir ORIGINAL -j ACCEPT
-A INPUT -m conntrack ! --ctexpire 10:20 --ctorigdstport 80:90 -j ACCEPT
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
-A INPUT -j REJECT --reject-with icmp-admin-prohibited
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A FORWARD -f -j DROP
-A FORWARD -p 47 -g LOGDROP
-A LOGDROP -j LOG --log-prefix "dropped: " --log-level 6 --log-ip-options
-A LOGDROP -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 8081-8089 --random
-A PREROUTING -d 10.5.0.0/24 -j NETMAP --to 10.6.0.0/24
-A PREROUTING -p tcp -m tcp --dport 82 -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-89 --persistent
-A POSTROUTING -p tcp -j MASQUERADE --to-ports 1000-2000 --random-fully
-A POSTROUTING -s 10.7.0.0/16 -j SNAT --to-source 192.0.2.1-192.0.2.4
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff
-A PREROUTING -j MARK --set-xmark 0x1/0xff
-A PREROUTING -j MARK --or-mark 0x100
-A POSTROUTING -j CONNMARK --save-mark
-A POSTROUTING -j CONNMARK --set-xmark 0x5/0xf
-A POSTROUTING -p tcp -m tcp --tcp-flags SYN SYN -j TCPMSS --set-mss 1200
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 53 -j CT --notrack
-A OUTPUT -p udp -m udp --sport 53 -j NOTRACK
COMMIT
"""
SIX = """\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 1/3 -j ACCEPT
-A INPUT -s fe80::/10 -p udp -m udp --dport 546 -j ACCEPT
-A INPUT -m addrtype --dst-type MULTICAST -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m multiport --sports 1,2 -j ACCEPT
-A INPUT -m iprange --src-range 2001:db8::1-2001:db8::9 -j ACCEPT
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
-A INPUT -j REJECT --reject-with icmp6-adm-prohibited
-A FORWARD -m limit --limit 3/hour --limit-burst 9 -j LOG
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:db8::5]:8080
-A PREROUTING -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 8081
-A PREROUTING -d 2001:db8:1::/64 -j NETMAP --to 2001:db8:2::/64
-A POSTROUTING -s fd00::/8 -j MASQUERADE
-A POSTROUTING -s 2001:db8:7::/64 -j SNAT --to-source 2001:db8::7
COMMIT
"""
UNDATED = "sed 's/ on .*//'"  # listings say when they were made
SHOWN = f"""\
for table in filter nat mangle raw; do iptables -t $table -S; iptables -t $table -L -v -n --line-numbers; done
iptables-save -c | {UNDATED}; nft list ruleset; nft -j list tables | wc -c
iptables-save | {UNDATED} > /tmp/once; iptables-restore < /tmp/once; iptables-save | {UNDATED} | cmp - /tmp/once
echo "status $?"
"""
ROUTER = """\
for name in left middle right; do ip netns add $name; ip -n $name link set lo up; done
ip link add v1 netns left type veth peer name v2 netns middle
ip link add v3 netns middle type veth peer name v4 netns right
ip -n left address add 10.1.0.2/24 dev v1; ip -n middle address add 10.1.0.1/24 dev v2
ip -n middle address add 10.2.0.1/24 dev v3; ip -n right address add 10.2.0.2/24 dev v4
for pair in left.v1 middle.v2 middle.v3 right.v4; do ip -n ${pair%.*} link set ${pair#*.} up; done
ip -n left route add default via 10.1.0.1
ip netns exec middle sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
"""
# Of packets: bytes depend on TCP's options, and how many acknowledgments there are on the kernel.
COUNTS = r"""sed 's/(policy \([A-Z]*\) .*)/(policy \1)/; /ESTABLISHED/s/^ *[0-9]*[KM]* /some /' |
    awk '/Chain|pkts/ { print; next } { $2 = ""; print }'"""
SCRIPTS = {
    "docker": DOCKER
    + SHOWN
    + """\
iptables -C FORWARD -o docker0 -j DOCKER; echo "status $?"
iptables -C FORWARD -o docker1 -j DOCKER; echo "status $?"
iptables -t nat -C POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE; echo "status $?"
iptables -t nat -C PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; echo "status $?"
iptables -t nat -C PREROUTING -m addrtype --dst-type BROADCAST -j DOCKER; echo "status $?"
iptables -t nat -C DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80; echo "status $?"
iptables -t nat -D DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
echo "status $?"; iptables -t nat -S DOCKER; iptables -D FORWARD 2; iptables -S FORWARD; iptables -X DOCKER-USER
iptables -R FORWARD 1 -m comment --comment replaced -j ACCEPT; iptables -S FORWARD 1; iptables -Z; iptables -L FORWARD
iptables -E DOCKER-ISOLATION-STAGE-2 SECOND; iptables -S; iptables -t nat -F; iptables -F; iptables -X; iptables -S
""",
    "netavark": NETAVARK
    + SHOWN
    + """\
iptables -t nat -C NETAVARK-HOSTPORT-MASQ -j MASQUERADE -m comment --comment "netavark portfw masq mark" \
    -m mark --mark 0x2000/0x2000; echo "status $?"
iptables -D FORWARD -m comment --comment "netavark firewall rules" -j NETAVARK_FORWARD; echo "status $?"
iptables -t nat -D NETAVARK-DN-1 -j DNAT -p tcp --to-destination 10.88.0.2:80 --destination-port 8080
iptables -t nat -F NETAVARK-DN-1; iptables -t nat -X NETAVARK-DN-1; iptables -t nat -S
""",
    "workstation": """\
iptables-restore < /iptables/workstation; echo "status $?"
"""
    + SHOWN
    + """\
iptables-restore --test < /iptables/workstation; echo "status $?"
iptables-restore -n << 'END'
*filter
-I INPUT 3 -p udp -m udp --dport 9 -j ACCEPT
-D INPUT -i lo -j ACCEPT
COMMIT
END
iptables -S INPUT; iptables -D INPUT -m statistic --mode nth --every 4 --packet 2 -j ACCEPT; echo "status $?"
iptables -C INPUT -p tcp -m multiport --dports 22,80,8000:8100 -m conntrack --ctstate NEW -j ACCEPT; echo "status $?"
iptables -D INPUT -j REJECT --reject-with icmp-admin-prohibited; echo "status $?"; iptables-save | grep -c INPUT
""",
    "six": f"""\
ip6tables-restore < /iptables/six; echo "status $?"
for table in filter nat; do ip6tables -t $table -S; ip6tables -t $table -L -v -n; done; nft list ruleset
ip6tables-save | {UNDATED} > /tmp/once; ip6tables-restore < /tmp/once; ip6tables-save | {UNDATED} | cmp - /tmp/once
echo "status $?"; ip6tables -D INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT; echo "status $?"
ip6tables -t nat -D PREROUTING 2; ip6tables-save | {UNDATED}
""",
    "errors": """\
exec 2>&1
bad() { iptables "$@"; echo "status $?"; }
bad -A NONE -j ACCEPT; bad -A INPUT -j NONE; bad -D INPUT 1; bad -D INPUT -j DROP; bad -X NONE; bad -F NONE
bad -N INPUT; bad -A INPUT -j MASQUERADE; bad -A INPUT -j DNAT --to-destination 1.2.3.4
bad -t nat -A INPUT -j MASQUERADE
bad -t nat -A POSTROUTING -j DNAT --to-destination 1.2.3.4; bad -t nat -A PREROUTING -j SNAT --to-source 1.2.3.4
bad -t mangle -A INPUT -j REJECT; bad -A INPUT -p udp -j REJECT --reject-with tcp-reset; bad -A INPUT -j TRACE
bad -t raw -A INPUT -j ACCEPT; bad -A INPUT -j NOTRACK; bad -A OUTPUT -m mac --mac-source 00:00:00:00:00:01
bad -A INPUT -p tcp -j TCPMSS --clamp-mss-to-pmtu; bad -A INPUT -j TCPMSS --set-mss 99
bad -A INPUT -m addrtype --dst-type LOCAL --limit-iface-out; bad -A OUTPUT -m addrtype --dst-type LOCAL --limit-iface-in
bad -A INPUT -m owner --uid-owner 5; bad -A INPUT -m string --string abc --algo bm
bad -A INPUT -m set --match-set x src
bad -A INPUT -m recent --set; bad -A INPUT -m hashlimit --hashlimit-name x --hashlimit-above 5/sec
bad -A INPUT -m connlimit --connlimit-above 5; bad -A FORWARD -m physdev --physdev-in x; bad -A INPUT -m nonsense
bad -A INPUT -j TPROXY --on-port 5; bad -A INPUT -p tcp --dport 99999; bad -A INPUT -s 1.2.3.4.5 -j DROP
bad -t nat -A PREROUTING -j NETMAP --to 10.0.0.0/8; bad -P INPUT QUEUE; bad -t none -S; bad -N A; bad -A A -j A
bad -N B; bad -A A -j B; bad -A B -j A; bad -A INPUT -j A; bad -X B; bad -t raw -A PREROUTING -j CT --helper ftp
bad -A INPUT -m conntrack --ctstate BOGUS; bad -A INPUT -p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
bad -A INPUT -m multiport --dports 5 -j DROP; bad -t nat -S; bad -S
nft add table ip t; nft add chain ip t c '{ type filter hook input priority 0; }'; nft list table ip t; iptables -S
setpriv --reuid 1000 --regid 1000 --clear-groups iptables -S; echo "status $?"
""",
    "packets": ROUTER
    + f"""\
cd /tmp
ip netns exec middle iptables-restore << 'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp -m udp --dport 9 -j REJECT --reject-with icmp-port-unreachable
-A INPUT -p tcp -m multiport --dports 70,71:79 -j REJECT --reject-with tcp-reset
-A INPUT -p icmp -m icmp --icmp-type 8 -m length --length 128 -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -m mac --mac-source 02:00:00:00:00:99 -j DROP
-A INPUT -p icmp -m statistic --mode nth --every 3 --packet 1 -j ACCEPT
-A INPUT -m pkttype --pkt-type broadcast -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
-A FORWARD -i v2 -o v3 -m comment --comment outward -m conntrack --ctstate NEW -j ACCEPT
-A OUTPUT -m addrtype --dst-type LOCAL -j ACCEPT
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i v3 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80
-A DOCKER -i v3 -p tcp -m tcp --dport 8081 -j REDIRECT --to-ports 8082
-A POSTROUTING -s 10.1.0.0/16 ! -o v2 -j MASQUERADE
COMMIT
END
ip netns exec right iptables -A INPUT -s 10.2.0.1 -p tcp -m tcp --dport 7000 -m tcpmss --mss 1000 -j ACCEPT
ip netns exec left iptables -t raw -A OUTPUT -d 10.1.0.1 -p icmp -j NOTRACK
ip netns exec left iptables -A OUTPUT -m conntrack --ctstate UNTRACKED -j ACCEPT
ip netns exec left iptables -A OUTPUT -m state --state NEW -j ACCEPT
ip netns exec left ping -c 3 -i 0.2 -W 5 -s 100 10.1.0.1 | grep -o '3 packets received\\|3 received'
ip netns exec left ping -c 3 -i 0.2 -W 5 10.1.0.1 | grep -o '3 packets received\\|3 received'
ip netns exec left ping -c 1 -W 5 10.2.0.2 | grep -o ttl=63
ip netns exec right nc -l -p 7000 > got & listens 7000 right
head -c 100000 /dev/zero | tr '\\0' r > sent; ip netns exec left nc -w 3 10.2.0.2 7000 < sent
wait; cmp got sent && echo "the same"
ip netns exec left nc -l -p 80 > got & listens 80 left
echo through | ip netns exec right nc -w 3 10.2.0.1 8080; wait; cat got
ip netns exec middle nc -l -p 8082 > got & listens 8082 middle
echo redirected | ip netns exec right nc -w 3 10.2.0.1 8081; wait; cat got
ip netns exec right nc -w 3 10.2.0.1 70 2>&1; echo "status $?"; ip netns exec right nc -w 3 10.2.0.1 75 2>&1
ip netns exec middle iptables -L -v -n | {COUNTS}; ip netns exec middle iptables -t nat -L -v -n | {COUNTS}
ip netns exec right iptables -L INPUT -v -n | grep -c '^ *1 .*tcpmss'
ip netns exec left iptables -L OUTPUT -v -n | {COUNTS}
ip netns exec middle iptables -Z; ip netns exec middle iptables -L INPUT -v -n
for name in left middle right; do ip netns del $name; done
""",
    "marks": f"""\
ip link set lo up
iptables -t mangle -A OUTPUT -p icmp -j MARK --set-mark 0x5
iptables -t mangle -A OUTPUT -m mark --mark 0x4/0x4 -j CONNMARK --save-mark
iptables -t mangle -A INPUT -j MARK --set-mark 0
iptables -t mangle -A INPUT -j CONNMARK --restore-mark
iptables -A INPUT -m connmark --mark 0x5 -j ACCEPT
iptables -A INPUT -m mark ! --mark 0x5 -j DROP
iptables -A OUTPUT -m iprange --dst-range 127.0.0.1-127.0.0.2 -j ACCEPT
iptables -A OUTPUT -m iprange ! --dst-range 127.0.0.1-127.0.0.2 -j DROP
ping -c 2 -i 0.2 -W 9 127.0.0.1 | grep -o '2 packets received\\|2 received'
ping -c 1 -W 1 127.0.0.3 2>&1 | grep -o '0 packets received\\|0 received'
for table in mangle filter; do iptables -t $table -L -v -n | {COUNTS}; done
""",
    "owners": f"""\
exec 2>&1
ip link set lo up; cd /tmp
iptables-restore << 'END'
*filter
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p icmp -m icmp --icmp-type 8 -m owner --uid-owner 1000 -j ACCEPT
-A OUTPUT -p icmp -m icmp --icmp-type 8 -m owner ! --gid-owner 0-10 -j ACCEPT
-A OUTPUT -d 127.0.0.2/32 -p icmp -m owner --uid-owner 0 -j DROP
-A OUTPUT -p icmp -m icmp --icmp-type 8 -m owner --socket-exists -j ACCEPT
-A OUTPUT -p tcp -m tcp --dport 7000 --tcp-flags SYN,ACK SYN -m owner --gid-owner 7 --suppl-groups -j ACCEPT
-A OUTPUT -p tcp -m tcp --sport 7000 --tcp-flags SYN,ACK SYN,ACK -m owner --uid-owner 1000 -j ACCEPT
-A OUTPUT -p tcp -m tcp --dport 7001 -m owner --uid-owner 0 -j ACCEPT
COMMIT
END
echo "status $?"; iptables -S; iptables-save | {UNDATED} > once; iptables-restore < once
iptables-save | {UNDATED} | cmp - once; echo "status $?"
echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range
iptables -A OUTPUT -m owner --uid-owner 9-5 -j ACCEPT; echo "status $?"
iptables -A INPUT -m owner --uid-owner 5 -j ACCEPT; echo "status $?"
iptables -C OUTPUT -d 127.0.0.2/32 -p icmp -m owner --uid-owner 0 -j DROP; echo "status $?"
ping -c 1 -W 9 127.0.0.1 | grep -o '1 packets received\\|1 received'
ping -c 1 -W 1 127.0.0.2 2>&1 | grep -o '0 packets received\\|0 received'
setpriv --reuid 1000 --regid 0 --clear-groups ping -c 1 -W 9 127.0.0.2 | grep -o '1 packets received\\|1 received'
setpriv --reuid 5 --regid 50 --clear-groups ping -c 1 -W 9 127.0.0.2 | grep -o '1 packets received\\|1 received'
setpriv --reuid 1000 --regid 1000 --clear-groups nc -l -p 7000 > got & listens 7000
echo one | setpriv --reuid 5 --regid 5 --groups 7 nc -w 3 127.0.0.1 7000; wait; cat got
echo none | nc -w 3 127.0.0.1 7001; echo "status $?"
iptables -L OUTPUT -v -n | {COUNTS}
""",
    "contents": f"""\
exec 2>&1
ip link set lo up
iptables-restore << 'END'
*filter
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A OUTPUT -p icmp -m string --string "aaaa" --algo bm -j ACCEPT
-A OUTPUT -p icmp -m string --hex-string "|ff00ff|" --algo kmp --from 28 -j ACCEPT
-A OUTPUT -p udp -m string --string "SeCret" --algo bm --icase -j ACCEPT
-A OUTPUT -p udp -m string ! --string "public" --algo kmp --to 60 -j ACCEPT
-A OUTPUT -p udp -m string --string "late" --algo bm --from 40 --to 50 -j ACCEPT
-A OUTPUT -p udp -m string --hex-string "end|0a|" --algo bm -j ACCEPT
COMMIT
END
echo "status $?"; iptables -S; iptables-save | {UNDATED} > /tmp/once; iptables-restore < /tmp/once
iptables-save | {UNDATED} | cmp - /tmp/once; echo "status $?"
iptables -A OUTPUT -m string --string x --algo fsm; echo "status $?"
iptables -A OUTPUT -m string --string x --algo nonsense; echo "status $?"
iptables -D OUTPUT -p udp -m string --string "SeCret" --algo bm --icase -j ACCEPT; echo "status $?"
iptables -I OUTPUT 3 -p udp -m string --string "SeCret" --algo bm --icase -j ACCEPT; echo "status $?"
ping -c 1 -W 9 -p 61 127.0.0.1 | grep -o '1 packets received\\|1 received'
ping -c 1 -W 9 -p ff 127.0.0.1 | grep -o '1 packets received\\|1 received'
for text in "a sEcREt" public "pub lic" "public and late" "public, and later too late" "public to the end"; do
    echo "$text" | nc -u -w 1 127.0.0.1 9
done
iptables -L OUTPUT -v -n | {COUNTS}
for algorithm in bm kmp; do
    iptables -A OUTPUT -p tcp -m string --string "never there" --algo $algorithm -j DROP
    iptables -A INPUT -p tcp -m string --string "NOR HERE" --algo $algorithm --icase -j DROP
done
i=0; while [ $i -lt 5000 ]; do echo "This is line $i of a text of some length."; i=$((i + 1)); done > /tmp/long
nc -l -p 7000 > /tmp/got & listens 7000
nc -w 3 127.0.0.1 7000 < /tmp/long; wait; cmp /tmp/long /tmp/got; echo "status $?"
""",
}
SURROUNDINGS = "export PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb HOME=/\nmkdir -p /run /sys\n" + LISTENS


def image() -> Archive:
    require("iptables")
    files = Archive()
    for name in PROGRAMS:
        add_program(files, Path(name))
    for name in NAMES:
        files.link(f"usr/sbin/{name}", "xtables-nft-multi")
    for path in sorted(EXTENSIONS.glob("lib*.so")):
        files.file(str(path).lstrip("/"), path.read_bytes(), 0o755)
    loader = interpreter(Path(PROGRAMS[0]).read_bytes())
    assert loader is not None
    add_libraries(files, EXTENSIONS / "libxt_statistic.so", loader)  # which computes with floating point
    for name in ("protocols", "services"):
        files.file(f"etc/{name}", (Path("/etc") / name).read_bytes())
    for name, text in SCRIPTS.items():
        files.file(f"iptables/{name}.sh", (SURROUNDINGS + text).encode(), 0o755)
    files.file("iptables/workstation", WORKSTATION.encode())
    files.file("iptables/six", SIX.encode())
    return files


def batch() -> Batch:
    cases = [Case(name, ("/usr/bin/unshare", "-n", "/bin/sh", f"/iptables/{name}.sh"), 60) for name in SCRIPTS]
    return Batch(cases, image(), Machine(memory="512M"), needs_modules=True)


@pytest.fixture(scope="module")
def krait() -> dict[str, Result]:
    return batch().run(KRAIT)


@pytest.fixture(scope="module")
def linux(krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("iptables", batch(), krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_it_does_what_it_is_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "-A DOCKER -i docker0 -j RETURN" in linux["docker"] and "MASQUERADE" in linux["docker"]
    assert "status 0" in linux["workstation"] and "--dports 22,80,8000:8100" in linux["workstation"]
    assert "the same" in linux["packets"] and "through" in linux["packets"] and "redirected" in linux["packets"]
    assert "2 packets received" in linux["marks"]
    assert "3 packets received" in linux["packets"] and "ttl=63" in linux["packets"]
    assert all(text.endswith("exit 0") for text in linux.values())
