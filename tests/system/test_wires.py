"""Wires that other machines are on: an address that somebody else has is told, and what nobody else has is announced, both behind the start."""

import json
import os
import signal
import subprocess

import pytest

from conftest import natively
from host import eventually, processes, wakings
from test_network_drivers import LAN, held, needs, wire     # noqa: F401 (a fixture)
from test_networks import addresses, net_pid, node, outside, pings, sh     # noqa: F401 (a fixture)

DRIVERS = [*natively(("bridge",), ("macvlan",)), "ipvlan", "phys"]
WITHOUT_PHYS = [*natively(("bridge",)), "macvlan", "ipvlan"]
THEIRS = ("10.94.0.50", "fd00:94::50")


@pytest.fixture(params=DRIVERS)
def lan(request, host, wire):
    """A network on that wire, at the other end of which is a machine with 10.94.0.1 and fd00:94::1."""
    driver, parent = request.param, "wire0"
    if driver in ("macvlan", "ipvlan"):
        needs(driver)
    if driver == "bridge":
        parent = "hbr0"
        sh("ip", "link", "add", "hbr0", "type", "bridge")
        sh("ip", "link", "set", "hbr0", "up")
        sh("ip", "link", "set", "wire0", "master", "hbr0")
    host.berth("network", "create", "-d", driver, "-o", "parent=" + parent, *LAN, "lan")
    wire.mac = json.loads(wire.do("ip", "-j", "link", "show", "lan0"))[0]["address"]
    yield wire
    host.remove_all()
    subprocess.run(["ip", "link", "del", "hbr0"], capture_output=True)


def duplicates(host, name):
    return sorted((d["address"], d["mac"]) for d in host.inspect(name)["networks"][0].get("duplicates", []))


def has(machine, *theirs):
    for address in theirs:
        machine.do("ip", "addr", "add", address + ("/64" if ":" in address else "/24"), "dev", "lan0", *["nodad"] * (":" in address))


HEARD = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(('lan0', 3)); s.settimeout(30)
print('up', flush=True)
while True:
    f, a = s.recvfrom(2000)
    if a[2] == 4: continue
    kind, body = f[12:14], f[14:]
    if kind == b'\\x08\\x06': print('ask' if body[14:18] == bytes(4) else 'tell', socket.inet_ntoa(body[24:28]), f[6:12].hex(':'), flush=True)
    elif kind == b'\\x86\\xdd' and body[6] == 58 and body[40] == 136: print('tell', socket.inet_ntop(10, body[48:64]), f[6:12].hex(':'), flush=True)
    elif kind == b'\\x86\\xdd' and body[6] == 58 and body[40] == 135 and body[8:24] == bytes(16): print('ask', socket.inet_ntop(10, body[48:64]), f[6:12].hex(':'), flush=True)
"""


class Heard:
    """What comes to the machine of questions whose an address is, and of news about it."""

    def __init__(self, machine):
        self.lines = []
        self.process = subprocess.Popen(machine.words("timeout", "60", "python3", "-c", HEARD), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"

    def until(self, line, times):
        while self.lines.count(line) < times:
            more = self.process.stdout.readline()
            assert more, self.lines
            self.lines.append(more.rstrip("\n"))

    def end(self):
        self.process.kill()
        self.process.wait()


def test_an_address_that_another_machine_has_is_told_behind_the_start_and_never_announced(host, lan):
    has(lan, THEIRS[0])
    heard = Heard(lan)
    try:
        name = host.name()
        events = host.popen("events", "--since", "10m", "--format", "json", "-f", "event=duplicate_address", "-f", "container=" + name)
        a, la = node(host, network="lan:ip=%s,ip=%s" % THEIRS, name=name)
        eventually(lambda: duplicates(host, a) == [(THEIRS[0], lan.mac)], lambda: host.inspect(a)["networks"])
        event = json.loads(events.stdout.readline())
        events.kill()
        events.communicate()
        assert event["attributes"] == {"interface": "eth0", "address": THEIRS[0], "mac": lan.mac}
        assert "%s on the wire of network lan says that it has it" % lan.mac in host.log()
        mac = la[0].get("mac") or json.loads(sh("nsenter", "-t", str(host.status(a)["pid"]), "-n", "ip", "-j", "link", "show", "eth0"))[0]["address"]
        heard.until("tell %s %s" % (THEIRS[1], mac), 2)     # of the other address the last that is said
        assert "ask %s %s" % (THEIRS[0], mac) in heard.lines and not [x for x in heard.lines if x.startswith("tell " + THEIRS[0])]
    finally:
        heard.end()
    host.restart()
    assert duplicates(host, a) == [(THEIRS[0], lan.mac)]
    if "away" in host.berth("network", "inspect", "lan").out:      # a veth that is a NIC ends with a namespace that nobody holds
        eventually(lambda: held(host, a), "the next berth-net holds its namespace")
    lan.do("ip", "addr", "del", THEIRS[0] + "/24", "dev", "lan0")       # he has gone: asked again with the next start
    has(lan, THEIRS[1])
    host.berth("stop", "-t", "0", a)
    host.berth("start", a)
    eventually(lambda: duplicates(host, a) == [(THEIRS[1], lan.mac)], lambda: host.inspect(a)["networks"])


@pytest.mark.parametrize("lan", WITHOUT_PHYS, indirect=True)
def test_an_address_that_the_host_has_on_that_link_is_told_too(host, lan):
    parent = host.berth("network", "inspect", "lan").json()[0]["parent"]
    a, _ = node(host, network="lan:ip=%s,ip=%s" % THEIRS)
    sh("ip", "addr", "add", THEIRS[0] + "/24", "dev", parent)
    try:
        mac = lambda: json.loads(sh("ip", "-j", "link", "show", parent))[0]["address"]     # a bridge's may be another one with each port
        eventually(lambda: duplicates(host, a) == [(THEIRS[0], mac())], lambda: host.inspect(a)["networks"])
        host.berth("stop", "-t", "0", a)
        host.berth("start", a)
        eventually(lambda: duplicates(host, a) == [(THEIRS[0], mac())], lambda: host.inspect(a)["networks"])
    finally:
        sh("ip", "addr", "flush", "dev", parent)


@pytest.mark.native
@pytest.mark.parametrize("lan", WITHOUT_PHYS, indirect=True)
def test_an_address_that_the_host_has_on_that_link_is_given_to_nobody_until_it_has_gone(host, lan):
    driver, parent = (host.berth("network", "inspect", "lan").json()[0][x] for x in ("driver", "parent"))
    host.berth("network", "rm", "lan")
    sh("ip", "addr", "add", "10.94.0.2/24", "dev", parent)
    sh("ip", "addr", "add", "fd00:94::2/64", "dev", parent, "nodad")
    try:
        host.berth("network", "create", "-d", driver, "-o", "parent=" + parent, *LAN, "--ip-range", "10.94.0.2/31", "--ip-range", "fd00:94::2/127", "lan")
        for again in (lambda: None, host.restart):
            again()
            for ip in ("10.94.0.2", "fd00:94::2"):
                eventually(lambda: host.berth("run", "--rm", "--network", "lan:ip=" + ip, "busybox", "true", code=None).code == 125, "it is heard of")
                host.refused("run", "--rm", "--network", "lan:ip=" + ip, "busybox", "true", text=ip + " is the host's own, on the wire " + parent, code=125)
        a, la = node(host, network="lan")
        assert addresses(la) == ["10.94.0.3", "fd00:94::3"]
        host.refused("run", "--rm", "--network", "lan", "busybox", "true", text="every address of .* is taken", code=125)
    finally:
        sh("ip", "addr", "flush", "dev", parent)
    eventually(lambda: host.berth("run", "--rm", "--network", "lan", "busybox", "true", code=None).code == 0, "they are nobody's")


@pytest.mark.parametrize("lan", WITHOUT_PHYS, indirect=True)     # the NIC that phys moves loses its carrier, and the neighbour his entries
def test_neighbours_with_an_old_entry_learn_at_once_who_has_the_address_now(host, lan):
    for address in THEIRS:
        lan.do("ip", "neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "lan0", "nud", "stale")
    a, la = node(host, network="lan:ip=%s,ip=%s" % THEIRS)
    assert all(pings(host, a, x) for x in ("10.94.0.1", "fd00:94::1")), "what is asked is no reason to wait"
    host.berth("stop", "-t", "0", a)
    for address in THEIRS:
        lan.do("ip", "neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "lan0", "nud", "stale")
    host.berth("start", a)
    link = json.loads(sh("nsenter", "-t", str(host.status(a)["pid"]), "-n", "ip", "-j", "link", "show", "eth0"))[0]
    for address in THEIRS:
        eventually(lambda: link["address"] in lan.do("ip", "neigh", "show", address), lambda: lan.do("ip", "neigh"))
    assert not duplicates(host, a)


def claims_are_over(host, name):
    """Nobody is asked any more whose the addresses are: the packet sockets for that, which hear everything, have gone."""
    def over():
        with open("/proc/%d/net/packet" % host.status(name)["pid"]) as inside, open("/proc/net/packet") as ours:
            return not [x for x in inside.readlines() + ours.readlines() if x.split()[3] == "0003"]
    eventually(over, "it was asked for all that long")


MANY_ASK = ("import socket\nfor i in range(60, 80):\n"
            " socket.socket(socket.AF_INET, 2).sendto(b'x', ('10.94.0.%d' % i, 9)); socket.socket(socket.AF_INET6, 2).sendto(b'x', ('fd00:94::%x' % i, 9))")


def test_who_comes_later_with_an_address_is_told_too_and_all_the_others_on_the_wire_wake_nobody(host, lan):
    a, _ = node(host, network="lan:ip=%s,ip=%s" % THEIRS)
    eventually(lambda: pings(host, a, "10.94.0.1"), "the wire is there")
    claims_are_over(host, a)
    assert not duplicates(host, a)
    asks = lambda there, *flags: subprocess.run(lan.words("ping", "-c", "1", "-W", "0.1", *flags, there), capture_output=True)
    host.berth("network", "create", "--subnet", "10.97.0.0/24", "after")        # asked in order: berth-net has done all that was
    pid = net_pid(host)
    eventually(lambda: processes()[pid][0] == "S", "it waits")
    before = wakings(pid)
    lan.do("python3", "-c", MANY_ASK)       # nobody is there, so each is asked for by a broadcast
    asks("10.94.0.90")
    assert wakings(pid) == before
    has(lan, *THEIRS)
    asks("10.94.0.91", "-I", THEIRS[0])
    asks("fd00:94::90", "-I", THEIRS[1])
    want = sorted((x, lan.mac) for x in THEIRS)
    eventually(lambda: duplicates(host, a) == want, lambda: host.inspect(a)["networks"])
    seen = host.berth("network", "inspect", "lan").json()[0]["duplicates"]
    assert sorted((d["address"], d["mac"]) for d in seen) == want and {(d["holder"], d["link"]) for d in seen} == {(host.inspect(a)["meta"]["uuid"], "eth0")}
    os.kill(pid, signal.SIGKILL)        # the next one watches for whom it has not seen
    b, _ = node(host, network="after")
    assert sorted(duplicates(host, a)) == want
    host.berth("rm", "-f", b)


def test_on_a_bridge_of_berth_the_others_learn_who_has_an_address_now(host):
    host.berth("network", "create", "-d", "bridge", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64", "lan")
    other, _ = node(host, network="lan")
    spec = "lan:ip=10.91.0.9,ip=fd00:91::9"
    a, la = node(host, network=spec)
    assert all(pings(host, other, x) for x in addresses(la))
    words = ["nsenter", "-t", str(host.status(other)["pid"]), "-n", "ip", "neigh", "show"]
    assert sh(*words).count(la[0]["mac"]) == 2
    host.berth("rm", "-f", a)
    b, lb = node(host, network=spec)
    assert lb[0]["mac"] != la[0]["mac"]
    eventually(lambda: sh(*words).count(lb[0]["mac"]) == 2 and la[0]["mac"] not in sh(*words), lambda: sh(*words))


def test_a_namespace_is_not_held_for_what_is_asked_of_its_neighbours(host):
    host.berth("network", "create", "-d", "bridge", "--subnet", "10.91.0.0/24", "lan")
    for _ in range(5):
        a, la = node(host, network="lan")
        host.berth("rm", "-f", a)
        eventually(lambda: la[0]["host_link"] not in sh("ip", "-o", "link"), "its link is gone", seconds=1.5)
