"""Drivers of networks other than routed, seen by what passes and what does not, in namespaces that the test makes."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import natively
from host import eventually
from test_networks import SERVER, addresses, ask, inside, net_pid, node, outside, pings, sh  # noqa: F401 (outside is a fixture)


# ---------------------------------------------------------------- what there is

@pytest.mark.native
def test_host_and_none_are_always_there_and_nobody_makes_or_removes_them(host):
    fixed = [n["meta"]["name"] for n in host.berth("network", "ls", "--format", "json").json() if n["driver"] in ("host", "none")]
    assert fixed == ["host", "none"]
    for name in fixed:
        host.refused("network", "rm", name, text="the network %s is always there" % name)
        host.refused("network", "create", "--subnet", "10.90.0.0/24", name, text="the network %s is always there" % name)
        host.refused("network", "create", "-d", name, "--subnet", "10.90.0.0/24", "other", text="always there", code=2)
        assert host.berth("network", "inspect", name).json()[0]["driver"] == name
        host.berth("run", "--rm", "--network", name, "busybox", "true")


@pytest.mark.native
def test_drivers_and_what_they_can_enforce_are_told_as_table_and_json(host):
    drivers = {(d["name"], d["parent"]): d for d in host.berth("network", "drivers", "--format", "json").json()}
    everything = set(drivers["routed", False]["features"])
    for d in drivers.values():
        assert set(d.get("features", [])) | set(d.get("lacks", [])) == everything | set(drivers["routed", False].get("lacks", []))
    assert "published ports" in drivers["bridge", False]["features"] and "published ports" in drivers["bridge", True]["lacks"]
    lines = host.berth("network", "drivers").lines
    assert lines[0].split()[:3] == ["FEATURE", "routed", "bridge"]
    row, = [x for x in lines if x.startswith("published ports")]
    assert row.split()[2:5] == ["yes", "yes", "-"]


@pytest.mark.native
@pytest.mark.parametrize("flags, text", [
    (("-d", "overlay"), "there are routed, bridge, macvlan, ipvlan and phys"),
    (("-d", "macvlan"), "needs a link of the host to lead to"),
    (("-o", "parent=lo1"), "leads to no link of the host"),
    (("-d", "macvlan", "-o", "parent=lo"), "lo leads nowhere"),
    (("-d", "macvlan", "-o", "parent=no0", "-o", "mode=l2"), "-o mode=l2: .*bridge private vepa passthru"),
    (("-d", "phys", "-o", "parent=no0", "--internal"), "--internal: .*driver phys.*internal; drivers that can: routed, bridge"),
    (("-o", "speed=1"), "is not parent=LINK, mode=MODE or mtu=BYTES")])
def test_what_a_driver_cannot_is_refused_by_its_flag(host, flags, text):
    host.refused("network", "create", "--subnet", "10.90.0.0/24", *flags, "bad", text=text, code=None)
    assert not host.berth("network", "ls", "-q", "-f", "name=bad").lines


# ---------------------------------------------------------------- bridge

def bridge(host, name="lan", *flags, v4="10.91.0.0/24", v6="fd00:91::/64"):
    host.berth("network", "create", "-d", "bridge", "--subnet", v4, "--subnet", v6, *flags, name)
    return name


def test_bridge_containers_reach_each_other_the_host_and_outside_but_no_other_network(host, outside):
    bridge(host)
    bridge(host, "other", v4="10.92.0.0/24", v6="fd00:92::/64")
    a, la = node(host, network="lan")
    b, lb = node(host, network="lan")
    c, lc = node(host, network="other")
    d, ld = node(host)
    for mine, other in zip(addresses(la), addresses(lb)):
        assert pings(host, a, other) and pings(host, b, mine)
        assert subprocess.run(["ping", "-c", "1", "-W", "1", other], capture_output=True).returncode == 0
    for address in ("10.91.0.1", "fd00:91::1", "192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"):
        eventually(lambda: pings(host, a, address), address)
    for name, there in ((a, lc), (c, la), (a, ld), (d, la)):
        for address in addresses(there):
            assert not pings(host, name, address), (name, address)
    outside.ways("10.91.0.0/16", "fd00::/8")
    assert not any(outside.pings(x) for x in addresses(la))


def test_bridge_ports_are_published_to_outside_the_host_and_its_own_containers(host, outside):
    bridge(host)
    name, lease = node(host, "-p", "8080:80", network="lan")
    other, _ = node(host, network="lan")
    server = inside(host, name, SERVER)
    try:
        assert server.stdout.readline() == "up\n"
        assert ask("192.0.2.1", 8080, 1, outside.words()) == "192.0.2.2"
        eventually(lambda: ask("2001:db8::1", 8080, 1, outside.words()) == "2001:db8::2", "IPv6 from outside")
        assert ask("127.0.0.1", 8080) != "nothing" and ask("192.0.2.1", 8080) != "nothing"
        for who in (name, other):
            words = ["nsenter", "-t", str(host.status(who)["pid"]), "-n"]
            assert ask("192.0.2.1", 8080, 1, words) != "nothing"
        for address in addresses(lease):
            assert ask(address, 80, 1, ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]) in [x for x in addresses(host.inspect(other)["networks"])]
            assert ask(address, 80, 2, ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]) in [x for x in addresses(host.inspect(other)["networks"])]
            assert ask(address, 80, 1, outside.words()) == "nothing"
    finally:
        server.terminate()


# Frames as a container's root can write them: to the address of a victim's neighbour, from whoever it likes to be.
FRAMES = """
import socket, struct, sys
me, they, my4, other4, their4, my6, other6, their6 = sys.argv[1:]
mac = lambda x: bytes(int(b, 16) for b in x.split(':'))
four = lambda x: socket.inet_aton(x)
six = lambda x: socket.inet_pton(socket.AF_INET6, x)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))
def ip4(src, data):
    h = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 28 + len(data), 1, 0, 64, 17, 0, four(src), four(their4))
    c = sum(struct.unpack('!10H', h)); c = (c & 0xffff) + (c >> 16); c = ~(c + (c >> 16)) & 0xffff
    return b'\\x08\\x00' + h[:10] + struct.pack('!H', c) + h[12:] + struct.pack('!HHHH', 5, 5, 8 + len(data), 0) + data
def checksum6(src, dst, payload, proto):
    x = six(src) + six(dst) + struct.pack('!II', len(payload), proto) + payload + b'\\0' * (len(payload) % 2)
    c = sum(struct.unpack('!%dH' % (len(x) // 2), x))
    while c >> 16: c = (c & 0xffff) + (c >> 16)
    return ~c & 0xffff
def ip6(src, payload, proto, at):
    c = struct.pack('!H', checksum6(src, their6, payload, proto))
    return b'\\x86\\xdd' + struct.pack('!IHBB', 6 << 28, len(payload), proto, 255) + six(src) + six(their6) + payload[:at] + c + payload[at + 2:]
def udp6(src, data): return ip6(src, struct.pack('!HHHH', 5, 5, 8 + len(data), 0) + data, 17, 6)
def arp(sha, spa): return b'\\x08\\x06' + struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 2, mac(sha), four(spa), mac(they), four(their4))
def na(src, target): return ip6(src, struct.pack('!BBHI', 136, 0, 0, 0x60000000) + six(target) + b'\\x02\\x01' + mac(me), 58, 2)
def ra(src): return ip6(src, struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0), 58, 2)
foreign = '02:00:00:00:00:99'
for name, source, rest in (
    ('mac', foreign, ip4(my4, b'mac')), ('ip4', me, ip4(other4, b'ip4')), ('ip6', me, udp6(other6, b'ip6')),
    ('arp', me, arp(me, other4)), ('arp-mac', me, arp(foreign, my4)), ('na', me, na(my6, other6)), ('ra', me, ra(my6)),
    ('vlan', me, b'\\x81\\x00\\x00\\x05' + ip4(my4, b'vlan')), ('own4', me, ip4(my4, b'own4')), ('own6', me, udp6(my6, b'own6')),
    ('own-arp', me, arp(me, my4)), ('own-na', me, na(my6, my6)), ('end', me, ip4(my4, b'end!'))):
    s.send(mac(they) + mac(source) + rest)
"""
SEEN = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(('eth0', 3)); s.settimeout(10)
print('up', flush=True)
while True:
    f = s.recv(2000)
    kind, body = f[12:14], f[14:]
    if f[:6].hex() != sys.argv[1].replace(':', ''): continue
    if kind == b'\\x08\\x06': print('arp', f[22:28].hex(':'), socket.inet_ntoa(f[28:32]), flush=True)
    elif kind == b'\\x86\\xdd' and body[6] == 58: print('nd', body[40], *([socket.inet_ntop(10, body[48:64])] * (body[40] == 136)), flush=True) if body[40] in (134, 136) else None
    elif kind == b'\\x08\\x00' and body[9] == 17 or kind == b'\\x86\\xdd': print(f[-4:].decode(errors='replace').strip('\\0'), flush=True)
    else: print('other', f.hex(), flush=True)
    if f.endswith(b'end!'): break
"""


def frames_seen(host, a, la, b, lb, other):
    """What of FRAMES, sent by a, comes to b: the words of packets, senders of ARP, types of ND."""
    (m, n), (x4, x6), (y4, y6) = (la[0]["mac"], lb[0]["mac"]), addresses(la), addresses(lb)
    words = lambda name: ["nsenter", "-t", str(host.status(name)["pid"]), "-n", "timeout", "20", "python3", "-c"]
    with subprocess.Popen([*words(b), SEEN, n], stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "up\n"
        subprocess.run([*words(a), FRAMES, m, n, x4, other[0], y4, x6, other[1], y6], check=True)
        return p.stdout.read().split("\n")[:-1]


def test_bridge_lets_no_foreign_mac_or_address_pass_in_ip_arp_or_nd(host):
    bridge(host)
    a, la = node(host, network="lan")
    b, lb = node(host, network="lan")
    c, lc = node(host, network="lan")
    seen = frames_seen(host, a, la, b, lb, addresses(lc))
    assert set(seen) == {"own4", "own6", "arp %s %s" % (la[0]["mac"], addresses(la)[0]), "nd 136 " + addresses(la)[1], "end!"}
    assert pings(host, c, addresses(lb)[0]) and pings(host, c, addresses(lb)[1])


def test_bridge_of_the_host_gets_ports_and_is_left_as_it_was(host):
    sh("ip", "link", "add", "hbr0", "type", "bridge")
    try:
        sh("ip", "addr", "add", "10.93.0.1/24", "dev", "hbr0")
        sh("ip", "link", "set", "hbr0", "up")
        bridge(host, "lan", "-o", "parent=hbr0", v4="10.93.0.0/24", v6="fd00:93::/64")
        a, la = node(host, network="lan")
        b, lb = node(host, network="lan")
        assert all(pings(host, a, x) for x in (*addresses(lb), "10.93.0.1"))
        c, lc = node(host, network="lan")
        seen = frames_seen(host, a, la, b, lb, addresses(lc))
        assert set(seen) == {"own4", "own6", "arp %s %s" % (la[0]["mac"], addresses(la)[0]), "nd 136 " + addresses(la)[1], "end!"}
        host.refused("run", "--network", "lan", "-p", "8080:80", "busybox", "true", text="published ports; drivers that can: routed, bridge", code=125)
        host.remove_all()
        link, = json.loads(sh("ip", "-j", "addr", "show", "hbr0"))
        assert [x["local"] for x in link["addr_info"] if x["family"] == "inet"] == ["10.93.0.1"]
    finally:
        sh("ip", "link", "del", "hbr0")


@pytest.mark.native
def test_bridge_is_there_again_after_kill_9_of_berthd_and_berth_net_in_attach(host):
    bridge(host)
    a, la = node(host, network="lan")
    for i in range(8):
        p = host.popen("run", "-d", "--network", "lan", "busybox", "sleep", "1000")
        time.sleep(0.004 * i)
        pid = net_pid(host)
        if i % 2:
            host.restart()
        elif pid:
            os.kill(pid, signal.SIGKILL)
        p.communicate(timeout=30)
    for c in host.list():
        name = c["meta"]["uuid"]
        host.wait_state(name, "running")
        assert pings(host, name, addresses(la)[0]) and pings(host, name, addresses(la)[1])
    # What is left is looked for behind every test: bridges, links, elements.


def test_internal_bridge_has_no_way_out(host, outside):
    bridge(host, "lan", "--internal")
    a, la = node(host, network="lan")
    b, lb = node(host, network="lan")
    assert pings(host, a, addresses(lb)[0]) and not pings(host, a, "192.0.2.2")


FIRST = "import socket, sys\ns = socket.socket(socket.AF_INET6, 2); s.bind(('::', 7901)); print('up', flush=True); print(s.recvfrom(9)[1][0])"
SEND = "import socket, sys\nip = sys.argv[1]; socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, 2).sendto(b'x', (ip, 7901))"


@pytest.mark.parametrize("driver", ["routed", pytest.param("bridge", marks=pytest.mark.native)])
def test_nothing_is_begun_from_an_internal_network_that_leaves_the_host_whatever_routes_others_have(host, outside, driver):
    outside.ways("10.97.0.0/24", "fd00:97::/64")
    eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")
    for flag in ("--internal", "--masquerade=false"):
        host.berth("network", "create", "-d", driver, "--subnet", "10.97.0.0/24", "--subnet", "fd00:97::/64", flag, "lan")
        a, la = node(host, "-p", "7900:80", network="lan")
        b, lb = node(host, network="lan")
        there = ["nsenter", "-t", str(host.status(a)["pid"]), "-n"]
        server = inside(host, a, SERVER)
        assert server.stdout.readline() == "up\n"
        for mine, ip, hosts in zip(addresses(la), ("192.0.2.2", "2001:db8::2"), ("192.0.2.1", "2001:db8::1")):
            eventually(lambda: pings(host, a, addresses(lb)[":" in ip]), "it is up")
            eventually(lambda: pings(host, a, hosts), "the host answers")
            eventually(lambda: flag == "--internal" or pings(host, a, ip), "the outside answers")
            assert (flag != "--internal" or not pings(host, a, ip)) and not outside.pings(mine)
            listener = subprocess.Popen(outside.words("timeout", "60", "python3", "-c", FIRST), stdout=subprocess.PIPE, text=True)
            assert listener.stdout.readline() == "up\n"
            sh(*there, "python3", "-c", SEND, ip)
            sh("python3", "-c", SEND, ip)       # the host itself, behind it
            assert listener.communicate()[0].strip().replace("::ffff:", "") == (hosts if flag == "--internal" else mine)
            eventually(lambda: ask(hosts, 7900, 1, outside.words()) != "nothing", "what is published")
        server.terminate()
        server.communicate()
        host.berth("rm", "-f", a, b)
        host.berth("network", "rm", "lan")
    host.refused("network", "create", "--internal", "--masquerade", "--subnet", "10.97.0.0/24", "lan", text="--masquerade.*: nothing of an internal network leaves the host", code=2)


@pytest.mark.native
def test_gateway_range_and_reserved_addresses_are_of_the_subnet_of_their_family(host):
    host.berth("network", "create", "--subnet", "10.97.0.0/24", "--subnet", "fd00:97::/64", "--gateway", "10.97.0.254", "--gateway", "fd00:97::ff", "--ip-range", "10.97.0.128/25",
               "--aux-address", "x:1=10.97.0.128", "lan")
    four, six = host.berth("network", "inspect", "lan").json()[0]["subnets"]
    assert (four["gateway"], four["ip_range"], four["reserved"], six["gateway"]) == ("10.97.0.254", "10.97.0.128/25", ["10.97.0.128"], "fd00:97::ff")
    host.refused("network", "create", "--subnet", "10.98.0.0/24", "--subnet", "fd00:98::/64", "--gateway", "10.99.0.1", "lan2", text="--gateway 10.99.0.1: .* address of 10.98.0.0/24", code=2)


# ---------------------------------------------------------------- links of the host: macvlan, ipvlan, VLANs

@pytest.fixture
def wire(outside):
    """A NIC of the host, as it looks: wire0, at the other end of which is a machine with the networks' gateways."""
    sh("ip", "link", "add", "wire0", "mtu", "1400", "type", "veth", "peer", "name", "lan0", "netns", str(outside.process.pid))
    sh("ip", "link", "set", "wire0", "up")
    for address in ("10.94.0.1/24", "fd00:94::1/64"):
        outside.do("ip", "addr", "add", address, "dev", "lan0", *["nodad"] * (":" in address))
    outside.do("ip", "link", "set", "lan0", "up")
    yield outside
    subprocess.run(["ip", "link", "del", "wire0"], capture_output=True)


LAN = ("--subnet", "10.94.0.0/24", "--subnet", "fd00:94::/64")


def kernel_has(kind, *more):
    """A link of this kind can be made in this kernel: the one of the VM has all of them."""
    r = subprocess.run(["unshare", "-n", "sh", "-c", "ip link add a0 type veth peer name b0 && ip link add link a0 name x0 type %s %s"
                        % (kind, " ".join(more))], capture_output=True)
    return r.returncode == 0


def needs(kind, *more):
    if not kernel_has(kind, *more):
        pytest.skip("this kernel has no " + kind)


@pytest.mark.parametrize("mode", ["bridge", "private"])
def test_macvlan_containers_are_on_the_wire_with_macs_of_their_own(host, wire, mode):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", "-o", "mode=" + mode, *LAN, "lan")
    a, la = node(host, network="lan")
    b, lb = node(host, network="lan")
    for gateway, other in zip(("10.94.0.1", "fd00:94::1"), addresses(lb)):
        eventually(lambda: pings(host, a, gateway), gateway)
        assert pings(host, a, other) == (mode == "bridge")
    assert la[0]["mac"] in wire.do("ip", "neigh", "show", addresses(la)[0])
    link, = json.loads(host.berth("exec", a, "cat", "/sys/class/net/eth0/mtu").out and sh("nsenter", "-t", str(host.status(a)["pid"]), "-n", "ip", "-j", "addr", "show", "eth0"))
    assert link["mtu"] == 1400 and link["address"] == la[0]["mac"]
    assert "default via 10.94.0.1" in host.berth("exec", a, "ip", "route").out
    host.restart()
    host.berth("restart", "-t", "0", a)
    assert pings(host, a, "10.94.0.1") and host.inspect(a)["networks"] == la


def test_macvlan_containers_start_again_at_once_with_their_macs(host, wire):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    a, la = node(host, network="lan")
    for _ in range(5):      # the kernel may not have taken the last namespace apart, in which a link has that MAC
        host.berth("stop", "-t", "0", a)
        host.berth("start", a)
    assert pings(host, a, "10.94.0.1") and host.inspect(a)["networks"] == la


@pytest.mark.parametrize("when", ["between two lives", "as one ends"])
def test_macvlan_interface_that_is_disconnected_where_nothing_runs_is_not_in_the_next_life(host, wire, tmp_path, when):
    """The shim keeps the namespace, and nothing leads there until the program is started again: so long the lease is nobody else's."""
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    go = tmp_path / "go"
    go.touch()
    tmp_path.chmod(0o755)
    a, (first, second) = node(host, "--network", "lan:ip=10.94.0.7", "--restart", "always", "-v", "%s:/x" % tmp_path,
                              command=("sh", "-c", "test -e /x/go && exec sleep 1000; exit 1"))
    pid, shim, net = host.status(a)["pid"], host.status(a)["shim_pid"], net_pid(host)
    go.unlink()

    def end():
        os.kill(pid, signal.SIGKILL)
        host.wait_state(a, "backoff", seconds=20)
        os.kill(shim, signal.SIGSTOP)       # no next one for now
    if when == "between two lives":
        end()
    with host.client() as c:
        if when == "as one ends":
            os.kill(net, signal.SIGSTOP)
        try:
            asked = c.ask("network_disconnect", {"ref": a, "network": "lan"})
            eventually(lambda: any(x.get("leaving") for x in host.inspect(a)["networks"]), "it is begun")
            host.berth("volume", "create", "after")     # what is stored in order: so the row before is, and berth-net is asked
            if when == "as one ends":
                end()
        finally:
            os.kill(net, signal.SIGCONT)
        host.refused("run", "--network", "lan:ip=10.94.0.7", "busybox", "true", text="10.94.0.7 is container %s's" % a, code=125)
        go.touch()
        os.kill(shim, signal.SIGCONT)
        assert c.answer(asked)[0].get("done", {}).get("text") == second["link"]
    host.wait_state(a, "running", seconds=20)
    assert host.inspect(a)["networks"] == [first]
    assert [x["ifname"] for x in json.loads(netns(host, a, "ip", "-j", "link"))] == ["lo", first["link"]]


def test_macvlan_interface_that_was_disconnected_between_two_lives_goes_with_the_last(host, wire, tmp_path):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    a, (first, _) = node(host, "--network", "lan", "--restart", "always", command=("false",))
    host.wait_state(a, "backoff", seconds=20)
    p = host.popen("network", "disconnect", "lan", a)
    eventually(lambda: len(host.inspect(a)["networks"]) == 1 or host.inspect(a)["networks"][1].get("leaving"), "it is begun")
    host.berth("stop", "-t", "0", a)
    assert p.communicate(timeout=30)[0].strip() == b"eth1" and p.returncode == 0
    assert host.inspect(a)["networks"] == [first]
    assert host.berth("network", "disconnect", "default", a).text == "eth0"


def test_macvlan_connect_that_the_kernel_refuses_leaves_nothing(host, wire):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    a, was = node(host)
    netns(host, a, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")       # the link is made, and its address is not
    host.refused("network", "connect", "lan", a, text="its IPv6 address", code=None)
    assert host.inspect(a)["networks"] == was
    eventually(lambda: [x["ifname"] for x in json.loads(netns(host, a, "ip", "-j", "link"))] == ["lo", "eth0"], "taken back")


@pytest.mark.native
def test_a_start_that_its_network_ends_says_why_and_not_that_its_process_died(host, wire):
    needs("macvlan")
    sh("ip", "link", "add", "wire1", "type", "veth", "peer", "name", "wire2")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire1", *LAN, "lan")
    sh("ip", "link", "del", "wire1")
    for _ in range(20):
        host.refused("run", "--rm", "--network", "lan", "busybox", "true", text="there is no link wire1", code=125)


def test_what_the_kernel_says_to_a_network_is_told(host, wire):
    needs("macvlan")
    sh("ip", "link", "add", "link", "wire0", "name", "wire0v", "type", "macvlan")      # a port that is taken: it cannot be a bridge's or passed through
    try:
        host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", "-o", "mode=passthru", *LAN, "lan")
        a = host.detached("--", "sleep", "1000")
        host.refused("network", "connect", "lan", a, text="make the macvlan link eth0: Invalid argument|make the macvlan link eth0: Device or resource busy", code=None)
    finally:
        sh("ip", "link", "del", "wire0v")


def test_macvlan_passthru_is_the_parents_own_address_and_has_it_alone(host, wire):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", "-o", "mode=passthru", *LAN, "lan")
    host.refused("network", "create", "-d", "macvlan", "-o", "parent=wire0", "--subnet", "10.95.0.0/24", "other", text="wire0 is network lan's .macvlan.: passthru takes all of it")
    a, la = node(host, network="lan")
    eventually(lambda: pings(host, a, "10.94.0.1"), "the gateway")
    assert json.loads(sh("ip", "-j", "link", "show", "wire0"))[0]["address"] in wire.do("ip", "neigh", "show", addresses(la)[0])


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_containers_share_the_parents_mac(host, wire, mode):
    needs("ipvlan", "mode", mode)
    host.berth("network", "create", "-d", "ipvlan", "-o", "parent=wire0", "-o", "mode=" + mode, *LAN, "lan")
    a, la = node(host, network="lan")
    b, lb = node(host, network="lan")
    assert all(pings(host, a, x) for x in addresses(lb))
    if mode == "l2":
        assert pings(host, a, "10.94.0.1")
        assert json.loads(sh("ip", "-j", "link", "show", "wire0"))[0]["address"] in wire.do("ip", "neigh", "show", addresses(la)[0])
    else:
        mac = json.loads(sh("ip", "-j", "link", "show", "wire0"))[0]["address"]
        sh("ip", "route", "add", "10.94.0.0/24", "dev", "wire0")       # on layer 3 they go out by the host's routes
        wire.do("ip", "neigh", "replace", addresses(la)[0], "lladdr", mac, "dev", "lan0")      # nobody answers ARP on layer 3
        assert wire.pings(addresses(la)[0])


def test_vlan_of_a_link_is_made_for_the_network_and_goes_with_it(host, wire):
    needs("macvlan")
    needs("vlan", "id", "5")
    wire.do("ip", "link", "add", "link", "lan0", "name", "lan0.100", "type", "vlan", "id", "100")
    wire.do("ip", "addr", "add", "10.95.0.1/24", "dev", "lan0.100")
    wire.do("ip", "link", "set", "lan0.100", "up")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0.100", "--subnet", "10.95.0.0/24", "tagged")
    a, _ = node(host, network="tagged")
    eventually(lambda: pings(host, a, "10.95.0.1"), "the gateway in the VLAN")
    host.restart()
    assert pings(host, a, "10.95.0.1")
    host.berth("rm", "-f", a)
    host.berth("network", "rm", "tagged")
    eventually(lambda: sh("ip", "link", "show", "type", "vlan") == "", "the VLAN is gone")


@pytest.mark.native
@pytest.mark.parametrize("kind, flags", [("ipvlan", ("-d", "ipvlan", "-o", "parent=wire0")), ("macvlan", ("-d", "macvlan", "-o", "parent=wire0")),
                                         ("vlan", ("-d", "macvlan", "-o", "parent=wire0.5")), ("bridge", ("-d", "bridge"))])
def test_a_network_of_what_this_kernel_cannot_make_is_refused_when_it_is_created(host, wire, kind, flags):
    def names():
        return {re.match(r"\d+: ([^:@]+)", x)[1] for x in sh("ip", "-o", "link").splitlines()}
    before = names() | {"berth0"}
    lacks = [k for k in ("bridge", "macvlan", "ipvlan", "vlan") if not kernel_has(k, *["id", "5"] * (k == "vlan")) and (k == kind or k == flags[1])]
    if lacks:
        host.refused("network", "create", *flags, *LAN, "lan", text="this kernel has no %s, and no module" % lacks[0], code=None)
        assert not host.berth("network", "ls", "-q", "-f", "name=lan").lines
    else:
        host.berth("network", "create", *flags, *LAN, "lan")
        host.berth("network", "rm", "lan")
    eventually(lambda: names() <= before, "the links that there were")


@pytest.mark.native
def test_parents_that_cannot_be_are_refused_and_leave_no_network(host, wire):
    needs("macvlan")
    for flags, text in (
            (("-d", "macvlan", "-o", "parent=no0"), "there is no link no0"),
            (("-d", "macvlan", "-o", "parent=no0.7"), "there is no link no0.7"),
            (("-d", "macvlan", "-o", "parent=wire0", "--mtu", "1500"), "--mtu 1500: .*1500 is more than wire0 has, which is 1400"),
            (("-d", "bridge", "-o", "parent=wire0"), "wire0 is no bridge"),
            (("-d", "bridge", "-o", "parent=no0"), "there is no link no0")):
        host.refused("network", "create", *flags, *LAN, "bad", text=text, code=None)
    assert not host.berth("network", "ls", "-q", "-f", "name=bad").lines
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    host.refused("network", "create", "-d", "ipvlan", "-o", "parent=wire0", "--subnet", "10.95.0.0/24", "other", text="wire0 is network lan's .macvlan.: one link has one driver")
    host.refused("run", "--network", "lan", "-p", "80", "busybox", "true", text="published ports; drivers that can: routed, bridge", code=125)
    sh("ip", "link", "del", "wire0")
    host.refused("run", "--network", "lan", "busybox", "true", text="there is no link wire0", code=125)
    host.restart()      # and whatever else there is goes on
    assert pings(host, node(host)[0], "10.209.0.1")


# ---------------------------------------------------------------- phys: a veth is a NIC here, but one that ends with a namespace

def nic(name="wire0"):
    """Name, state, MTU and MAC of a link of the host, or None."""
    found = [x for x in json.loads(sh("ip", "-j", "link")) if x["ifname"] == name]
    return (found[0]["mtu"], "UP" in found[0]["flags"], found[0]["address"]) if found else None


def netns(host, name, *words):
    return sh("nsenter", "-t", str(host.status(name)["pid"]), "-n", *words)


def test_phys_nic_is_the_containers_alone_and_comes_back_as_it_was(host, wire):
    before = nic()
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    a, la = node(host, network="nic")
    assert nic() is None and host.berth("network", "inspect", "nic").json()[0]["nic"]["away"]
    eventually(lambda: pings(host, a, "10.94.0.1") and pings(host, a, "fd00:94::1"), "the gateway")
    host.refused("run", "--network", "nic", "busybox", "true", text="network nic is container %s's: .* one at a time" % a, code=125)
    netns(host, a, "ip", "link", "set", "eth0", "down")
    netns(host, a, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:07", "mtu", "1300", "name", "mine")
    host.berth("stop", "-t", "0", a)
    eventually(lambda: nic() == before, lambda: "it is back: %r, was %r" % (nic(), before))
    assert not host.berth("network", "inspect", "nic").json()[0]["nic"].get("away")
    sh("ip", "link", "set", "wire0", "down", "mtu", "1350")     # that it is is what it is given back as
    host.berth("start", a)
    eventually(lambda: pings(host, a, "10.94.0.1"), "the gateway")
    os.kill(host.status(a)["pid"], signal.SIGKILL)
    eventually(lambda: nic() == (1350, False, before[2]), lambda: "it is back: %r" % (nic(),))
    host.berth("rm", a)
    b, _ = node(host, network="nic")
    assert nic() is None
    host.berth("rm", "-f", b)
    eventually(nic, "it is back")


def test_phys_nic_of_the_host_itself_is_not_given_away(host, wire):
    sh("ip", "addr", "add", "10.94.0.77/24", "dev", "wire0")
    host.refused("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic", text="wire0 has addresses of the host")
    sh("ip", "addr", "flush", "dev", "wire0")
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    host.refused("network", "create", "-d", "phys", "-o", "parent=wire0", "--subnet", "10.95.0.0/24", "twice", text="one container at a time")
    host.refused("network", "create", "-d", "macvlan", "-o", "parent=wire0", "--subnet", "10.95.0.0/24", "twice", text="one link has one driver")
    sh("ip", "addr", "add", "10.94.0.77/24", "dev", "wire0")
    host.refused("run", "--network", "nic", "busybox", "true", text="wire0 has addresses of the host", code=125)
    assert nic()


def held(host, name):
    """berth-net has the namespace in its hands: what is no hardware would end with it."""
    namespace, pid = os.readlink("/proc/%d/ns/net" % host.status(name)["pid"]), net_pid(host)
    try:
        return pid and any(os.readlink("/proc/%d/fd/%s" % (pid, fd)) == namespace for fd in os.listdir("/proc/%d/fd" % pid))
    except FileNotFoundError:
        return False


@pytest.mark.native
def test_phys_nic_is_with_its_container_or_back_whoever_is_killed_in_attach(host, wire):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    for i in range(10):
        p = host.popen("run", "-d", "--network", "nic", "busybox", "sleep", "1000")
        time.sleep(0.003 * i)
        pid = net_pid(host)
        if i % 3 == 2:
            host.restart()
        elif pid:
            os.kill(pid, signal.SIGKILL)
        p.communicate(timeout=30)
        for c in host.list():
            host.wait_state(c["meta"]["uuid"], "running")
            eventually(lambda: pings(host, c["meta"]["uuid"], "10.94.0.1"), "the gateway")
            assert nic() is None
            eventually(lambda: held(host, c["meta"]["uuid"]), "berth-net holds its namespace")
        for c in host.list():
            host.berth("rm", "-f", c["meta"]["uuid"])
        eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))


def test_phys_nic_comes_back_from_a_container_that_has_outlived_berthd_and_berth_net(host, wire):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    a, la = node(host, network="nic")
    assert not la[0].get("mac")
    host.restart()
    eventually(lambda: held(host, a), "the next berthd's berth-net holds its namespace")
    os.kill(net_pid(host), signal.SIGKILL)
    eventually(lambda: held(host, a), "and the one after that")
    host.berth("rm", "-f", a)
    eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))
    host.refused("run", "--network", "nic:mac=02:00:00:00:00:01", "busybox", "true", text="fixed MAC; drivers that can: routed, bridge, macvlan", code=125)


@pytest.mark.native
def test_phys_nic_comes_back_from_a_container_that_ended_while_berthd_was_away(host, wire):
    """A veth ends with its namespace, which the shim has until a berthd lets it go."""
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    a, _ = node(host, network="nic")
    pid = host.status(a)["pid"]
    host.settled()
    host.kill()
    os.kill(pid, signal.SIGKILL)
    host.start()
    eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))
    assert host.state_of(a) == "exited" and not host.berth("network", "inspect", "nic").json()[0]["nic"].get("away")
    host.berth("start", a)
    eventually(lambda: pings(host, a, "10.94.0.1"), "and can be had again")


@pytest.mark.parametrize("killed", ["berth-net and shim", *natively(("shim",), ("berthd and program",))])
def test_phys_nic_that_was_renamed_in_its_container_comes_back_whoever_is_killed(host, wire, killed):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    a, _ = node(host, network="nic")
    netns(host, a, "ip", "link", "set", "eth0", "down")
    netns(host, a, "ip", "link", "set", "eth0", "name", "mine", "address", "02:00:00:00:00:07")
    netns(host, a, "ip", "link", "set", "mine", "up")
    status = host.status(a)
    if "berth-net" in killed:
        os.kill(net_pid(host), signal.SIGKILL)
        eventually(lambda: held(host, a), "the next one holds its namespace")
    if "berthd" in killed:
        host.restart()
        eventually(lambda: held(host, a), "the next one's holds its namespace")
    os.kill(status["shim_pid" if "shim" in killed else "pid"], signal.SIGKILL)
    eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))
    host.berth("rm", "-f", a)
    b, _ = node(host, network="nic")
    eventually(lambda: pings(host, b, "10.94.0.1"), "and can be had again")


@pytest.mark.native
def test_another_nic_of_the_name_of_one_that_never_came_back_stays_what_it_is(host, wire):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    a, _ = node(host, network="nic")
    wire.do("ip", "link", "del", "lan0")        # no hardware, and gone for good
    host.berth("rm", "-f", a)
    host.berth("network", "rm", "nic")
    sh("ip", "link", "add", "wire0", "mtu", "1300", "address", "02:00:00:00:00:77", "type", "veth", "peer", "name", "lan0", "netns", str(wire.process.pid))
    end = time.monotonic() + 2                  # it was looked for after 50 ms, 100 ms, 200 ms …
    while time.monotonic() < end:
        assert nic() == (1300, False, "02:00:00:00:00:77")
        time.sleep(0.05)


def test_phys_nic_is_connected_to_a_running_container_and_disconnected(host, wire):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    a, _ = node(host)
    host.berth("network", "connect", "nic", a)
    eventually(lambda: pings(host, a, "10.94.0.1"), "the gateway")
    host.berth("network", "disconnect", "nic", a)
    eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))
    assert pings(host, a, "10.209.0.1")


def test_phys_nic_that_is_leaving_when_berth_net_is_killed_is_not_held_after_it_has(host, wire):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    a, _ = node(host)
    host.berth("network", "connect", "nic", a)
    pid = net_pid(host)
    with host.client() as c:
        os.kill(pid, signal.SIGSTOP)
        asked = c.ask("network_disconnect", {"ref": a, "network": "nic"})
        eventually(lambda: any(x.get("leaving") for x in host.inspect(a)["networks"]), "it is begun")
        host.berth("volume", "create", "after")     # what is stored in order: so the row before is, and berth-net is asked
        os.kill(pid, signal.SIGKILL)
        assert c.answer(asked)[0].get("done", {}).get("text") == "eth1"
    host.berth("network", "create", "--subnet", "10.97.0.0/24", "after")        # what is asked in order: so berth-net has done all that was
    eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))
    assert not held(host, a)
