"""Security groups, seen by what passes and what does not: a model says what must, and packets between two containers what does."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from host import IN_VM, SLOW, eventually
from proto import Refused
from test_names import addresses_in, ask, packet
from test_networks import addresses, net_pid, node, outside, sh, table     # noqa: F401 (outside is a fixture)

# A packet of SCTP with one chunk, INIT (1) or INIT ACK (2), of which connection tracking believes the checksum too (CRC32c, RFC 9260).
SCTP = r"""
def crc32c(data):
    c = 0xffffffff
    for x in data:
        c ^= x
        for _ in range(8):
            c = c >> 1 ^ 0x82f63b78 * (c & 1)
    return c ^ 0xffffffff

def sctp(source, port, tag, chunk):
    cookie = b"\0\x07\0\x08cook" * (chunk == 2)
    body = struct.pack("!BBHIIHHI", chunk, 0, 20 + len(cookie), source or 1, 65536, 1, 1, 1) + cookie
    head = struct.pack("!HHI", source, port, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body
"""

# Runs in the network namespace of the one that is asked: TCP, UDP and a protocol that nobody has, on IPv4 and IPv6.
SERVER = r"""
import select, socket, struct, sys
""" + SCTP + r"""
PORTS, ODD, SCTP = (1000, 2000, 9), 253, 132
socks = {}
for family in (socket.AF_INET, socket.AF_INET6):
    for port in PORTS:
        t = socket.socket(family, socket.SOCK_STREAM)
        t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        u = socket.socket(family, socket.SOCK_DGRAM)
        for s in (t, u):
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(("", port))
        t.listen(100)
        socks[t], socks[u] = "tcp", "udp"
    socks[socket.socket(family, socket.SOCK_RAW, ODD)] = "odd"
    socks[socket.socket(family, socket.SOCK_RAW, SCTP)] = "sctp"    # no kernel needs to know it: one packet, INIT, and one back, INIT ACK
print("up", flush=True)
while True:
    for s in select.select(list(socks), [], [])[0]:
        if socks[s] == "tcp":
            c, who = s.accept()
            try:
                c.sendall((who[0] + "\n").encode())
            except OSError:
                pass
            c.close()
            continue
        data, who = s.recvfrom(2000)
        if socks[s] in ("odd", "sctp") and s.family == socket.AF_INET:
            data = data[20:]
        if socks[s] == "sctp" and len(data) >= 32 and data[12] == 1:
            data = sctp(int.from_bytes(data[2:4], "big"), int.from_bytes(data[:2], "big"), int.from_bytes(data[16:20], "big"), 2)
            try:
                s.sendto(data, (who[0], 0))
            except OSError:
                pass
        if socks[s] == "sctp":
            continue
        if socks[s] == "odd" and not data.startswith(b"ask"):
            continue
        try:
            s.sendto(b"echo" + data, who if socks[s] == "udp" else (who[0], 0))
        except OSError:
            pass
"""

# Runs in that of the one that asks: a line of JSON is a list of [family, protocol, port or ICMP type] and for each whether it is to pass. It answers what did:
# for those that are to pass it waits, and then for one that always does and was sent last, by the same processor, so that the others were there before.
CLIENT = r"""
import json, os, select, socket, struct, sys, time
""" + SCTP + r"""
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
ADDRESS = {4: sys.argv[1], 6: sys.argv[2]}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ident = 0

def checksum(data):
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    s = (s >> 16) + (s & 0xffff)
    return ~(s + (s >> 16)) & 0xffff

class Probe:
    def __init__(self, family, protocol, port):
        global ident
        ident = ident % 60000 + 1
        self.family, self.protocol, self.port, self.id, self.passed = family, protocol, port, ident, False
        kind, number = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "odd": (socket.SOCK_RAW, 253), "sctp": (socket.SOCK_RAW, 132),
                        "icmp": (socket.SOCK_RAW, 1 if family == 4 else 58)}[protocol]
        self.s = socket.socket(FAMILY[family], kind, number)
        self.s.setblocking(False)
        if protocol == "tcp":
            self.s.connect_ex((ADDRESS[family], port))
        elif protocol == "udp":
            self.s.connect((ADDRESS[family], port))
        self.send()

    def send(self):
        if self.protocol == "tcp":
            return
        data = b"ask %d" % self.id
        if self.protocol == "icmp":
            data = struct.pack("!BBHHH", self.port, 0, 0, self.id, 1) + b"\0" * 12
            if self.family == 4:
                data = data[:2] + struct.pack("!H", checksum(data)) + data[4:]
        elif self.protocol == "sctp":
            data = sctp(self.id, self.port, 0, 1)
        try:
            if self.protocol == "udp":
                self.s.send(data)
            else:
                self.s.sendto(data, (ADDRESS[self.family], 0))
        except (BlockingIOError, ConnectionRefusedError, PermissionError):
            pass

    def look(self):
        if self.protocol == "tcp":
            self.passed = self.s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            return
        try:
            while True:
                data, who = self.s.recvfrom(2000)
                if self.protocol == "udp":
                    self.passed |= data == b"echoask %d" % self.id
                elif self.protocol == "odd":
                    self.passed |= data.endswith(b"echoask %d" % self.id)
                elif self.protocol == "sctp":
                    data = data[20:] if self.family == 4 else data
                    self.passed |= data[12] == 2 and struct.unpack("!HH", data[:4]) == (self.port, self.id)
                else:
                    data = data[20:] if self.family == 4 else data
                    answer = {8: 0, 13: 14, 128: 129}[self.port]
                    self.passed |= len(data) >= 8 and data[0] == answer and struct.unpack("!H", data[4:6])[0] == self.id
        except OSError:
            pass

def wait(probes, wanted, seconds=20):
    end, again = time.monotonic() + seconds, time.monotonic() + 0.5
    while not all(p.passed for p in wanted) and time.monotonic() < end:
        open_ = [p for p in probes if not p.passed]
        r, w, _ = select.select([p.s for p in open_ if p.protocol != "tcp"], [p.s for p in open_ if p.protocol == "tcp"], [], 0.1)
        for p in open_:
            if p.s in r or p.s in w:
                p.look()
        if time.monotonic() > again:
            again += 0.5
            for p in wanted:
                if not p.passed:
                    p.send()

for line in sys.stdin:
    asked, want = json.loads(line)
    probes = [Probe(*x) for x in asked]
    wait(probes, [p for p, ok in zip(probes, want) if ok])
    last = [Probe(4, "tcp", 9), Probe(6, "udp", 9)]
    wait(last, last)
    wait(probes, [], 0)
    for p in probes:
        p.s.setblocking(False)
        if not p.passed and select.select([], [p.s], [], 0)[1] and p.protocol == "tcp":
            p.look()
        elif p.protocol != "tcp":
            p.look()
    print(json.dumps([[p.passed for p in probes], [p.passed for p in last]]), flush=True)
    for p in probes + last:
        p.s.close()
"""


class Inside:
    """A program in the network namespace of a container."""

    def __init__(self, host, name, program, *args):
        self.p = subprocess.Popen(["nsenter", "-t", str(host.status(name)["pid"]), "-n", "python3", "-c", program, *args], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line(self):
        got = self.p.stdout.readline()
        assert got, "it ended: %s" % self.p.wait()
        return got.strip()

    def ask(self, *words):
        self.p.stdin.write(json.dumps(words) + "\n")
        self.p.stdin.flush()
        return json.loads(self.line())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()


def group(host, name, *rules, empty=True):
    host.berth("security-group", "create", *(["--empty"] if empty else []), name)
    for r in rules:
        rule(host, name, r)


def rule(host, name, r):
    return host.ask("security_group_rule_add", {"name": name, "rule": r})["uuid"]


def unrule(host, name, uuid):
    host.ask("security_group_rule_remove", {"name": name, "rule": uuid})


def ungroup(host, *names):
    """Groups that no test of another file knows."""
    for name in names:
        host.berth("security-group", "rm", name)


# ---------------------------------------------------------------- the matrix

PROBES = [(4, "tcp", 1000), (4, "tcp", 2000), (4, "udp", 1000), (4, "udp", 2000), (4, "icmp", 8), (4, "icmp", 13), (4, "odd", 0), (4, "sctp", 1000), (4, "sctp", 2000),
          (6, "tcp", 1000), (6, "tcp", 2000), (6, "udp", 1000), (6, "udp", 2000), (6, "icmp", 128), (6, "odd", 0), (6, "sctp", 1000), (6, "sctp", 2000)]

# What of a rule is about the protocol: and the probes that it means.
PROTOCOLS = {
    "any": ({}, lambda f, p, n: True),
    "tcp": ({"protocol": "tcp"}, lambda f, p, n: p == "tcp"),
    "udp": ({"protocol": "17"}, lambda f, p, n: p == "udp"),
    "icmp": ({"protocol": "icmp"}, lambda f, p, n: p == "icmp" and f == 4),
    "icmpv6": ({"protocol": "icmpv6"}, lambda f, p, n: p == "icmp" and f == 6),
    "253": ({"protocol": "253"}, lambda f, p, n: p == "odd"),
    "sctp": ({"protocol": "sctp"}, lambda f, p, n: p == "sctp"),
    "sctp range": ({"protocol": "sctp", "port_min": 1001, "port_max": 2000}, lambda f, p, n: p == "sctp" and n == 2000),
    "tcp port": ({"protocol": "tcp", "port_min": 1000}, lambda f, p, n: p == "tcp" and n == 1000),
    "tcp range": ({"protocol": "tcp", "port_min": 1001, "port_max": 2000}, lambda f, p, n: p == "tcp" and n == 2000),
    "tcp all ports": ({"protocol": "tcp", "port_min": 1, "port_max": 65535}, lambda f, p, n: p == "tcp"),
    "udp port": ({"protocol": "udp", "port_min": 2000}, lambda f, p, n: p == "udp" and n == 2000),
    "udp range": ({"protocol": "udp", "port_min": 3000, "port_max": 4000}, lambda f, p, n: False),
    "icmp type": ({"protocol": "icmp", "icmp_type": 8, "icmp_code": 0}, lambda f, p, n: p == "icmp" and n == 8),
    "icmp other type": ({"protocol": "icmp", "icmp_type": 13}, lambda f, p, n: p == "icmp" and n == 13),
    "icmpv6 type": ({"protocol": "icmpv6", "icmp_type": 128}, lambda f, p, n: p == "icmp" and n == 128),
    "icmpv6 other code": ({"protocol": "icmpv6", "icmp_type": 128, "icmp_code": 7}, lambda f, p, n: False),
}
FAMILIES = {"both": ({}, (4, 6)), "ipv4": ({"ethertype": "ipv4"}, (4,)), "ipv6": ({"ethertype": "ipv6"}, (6,))}


def remotes(four, six):
    """Whom a rule is about, and the families in which that is the other end."""
    return {
        "anybody": ({}, (4, 6)),
        "member": ({"remote_group": "friends"}, (4, 6)),
        "no member": ({"remote_group": "strangers"}, ()),
        "its IPv4 address": ({"remote_cidr": four}, (4,)),
        "its IPv4 subnet": ({"remote_cidr": "10.209.0.0/16"}, (4,)),
        "all of IPv4": ({"remote_cidr": "0.0.0.0/0"}, (4,)),
        "another IPv4 subnet": ({"remote_cidr": "192.0.2.0/24"}, ()),
        "its IPv6 address": ({"remote_cidr": six}, (6,)),
        "all of IPv6": ({"remote_cidr": "::/0"}, (6,)),
        "another IPv6 subnet": ({"remote_cidr": "2001:db8::/32"}, ()),
    }


def test_matrix_of_protocol_direction_remote_and_family_passes_what_the_model_says_and_nothing_else(host):
    group(host, "friends", {"direction": "INGRESS", "protocol": "tcp", "port_min": 9}, {"direction": "EGRESS", "protocol": "tcp", "port_min": 9},
          {"direction": "INGRESS", "protocol": "udp", "port_min": 9}, {"direction": "EGRESS", "protocol": "udp", "port_min": 9})
    group(host, "strangers")
    group(host, "open", {"direction": "INGRESS"}, {"direction": "EGRESS"})
    group(host, "tested")
    a, la = node(host, network="default:sg=friends,sg=open")
    b, lb = node(host, network="default:sg=friends,sg=tested")
    cases = 0
    with Inside(host, b, SERVER) as server, Inside(host, a, CLIENT, *addresses(lb)) as client:
        assert server.line() == "up"
        for direction in ("INGRESS", "EGRESS"):
            if direction == "EGRESS":
                set_groups(host, a, "friends", "tested")
                set_groups(host, b, "friends", "open")
            others = remotes(*addresses(la if direction == "INGRESS" else lb))
            # Emulated, all of them would take minutes: there some of each kind are tried.
            each = itertools.islice(itertools.product(PROTOCOLS.items(), FAMILIES.items(), others.items()), 0, None, 7 if IN_VM else 1)
            for (protocol, (p, fits)), (family, (f, of)), (remote, (r, ends)) in each:
                try:
                    uuid = rule(host, "tested", {"direction": direction, **p, **f, **r})
                except Refused as e:            # what contradicts itself is no rule
                    assert e.code == "INVALID" and e.field in ("rule.ethertype", "rule.remote_cidr"), (e.field, e.text)
                    continue
                want = [fits(*x) and x[0] in of and x[0] in ends for x in PROBES]
                got, always = client.ask(PROBES, want)
                assert got == want and all(always), (direction, protocol, family, remote, [x for x, g, w in zip(PROBES, got, want) if g != w])
                unrule(host, "tested", uuid)
                cases += 1
    assert cases > (60 if IN_VM else 400)
    host.berth("rm", "-f", a, b)
    ungroup(host, "open", "tested", "friends", "strangers")


def set_groups(host, name, *groups, link="eth0", **more):
    host.ask("security_group_attach", {"ref": name, "link": link, "groups": list(groups), **more})


# ---------------------------------------------------------------- live connections

# Connections to itself and to others, by lines: listen PORT; connect ADDRESS PORT; send N BYTES; got N: how much has come on connection N so far.
TALKER = r"""
import json, select, socket, sys
listeners, conns, got = [], [], []
def pump():
    while True:
        ready = select.select([c for c in conns if c] + listeners, [], [], 0)[0]
        if not ready:
            return
        for s in ready:
            if s in listeners:
                c = s.accept()[0]
                c.setblocking(False)
                conns.append(c); got.append(0)
            else:
                i = conns.index(s)
                data = s.recv(1 << 20)
                got[i] += len(data)
                if not data:
                    conns[i] = None
for line in sys.stdin:
    verb, *args = json.loads(line)
    pump()
    answer = None
    if verb == "listen":
        s = socket.socket(socket.AF_INET6)
        s.bind(("::", args[0])); s.listen()
        listeners.append(s)
    elif verb == "connect":
        s = socket.create_connection((args[0], args[1]), timeout=20)
        s.setblocking(False)
        conns.append(s); got.append(0)
        answer = len(conns) - 1
    elif verb == "send":
        conns[args[0]].send(b"x" * args[1])
    elif verb == "got":
        answer = got[:]
    print(json.dumps(answer), flush=True)
"""


class Pair:
    """Two containers that talk over two connections, opened by the first: number 0 over port 1000, which is to be cut, and number 1 over 2000."""

    def __init__(self, host, network_a, network_b, family=0):
        self.host = host
        self.a, self.la = node(host, network=network_a)
        self.b, self.lb = node(host, network=network_b)
        self.first, self.second = Inside(host, self.a, TALKER), Inside(host, self.b, TALKER)
        for i, port in enumerate((1000, 2000)):
            self.second.ask("listen", port)
            self.first.ask("connect", addresses(self.lb)[family], port)
            eventually(lambda: len(self.second.ask("got")) == i + 1, "accepted")
        assert self.passes(0) and self.passes(1)

    def bytes(self, number):
        return self.first.ask("got")[number], self.second.ask("got")[number]

    def send(self, number):
        self.first.ask("send", number, 10)
        self.second.ask("send", number, 10)

    def passes(self, number):
        """In both directions."""
        before = self.bytes(number)
        self.send(number)
        eventually(lambda: all(x >= y + 10 for x, y in zip(self.bytes(number), before)), "connection %d passes" % number, 20)
        return True

    def is_cut(self):
        """Nothing comes on the one in either direction, while the other goes on: what is on its way is let in first."""
        self.passes(1)
        before = self.bytes(0)
        self.send(0)
        for _ in range(10):
            self.passes(1)
        assert self.bytes(0) == before
        return True

    def end(self):
        self.first.__exit__()
        self.second.__exit__()
        self.host.berth("rm", "-f", self.a, self.b)


TCP = {"direction": "INGRESS", "protocol": "tcp"}


@pytest.mark.parametrize("family", [pytest.param(0, id="ipv4", marks=pytest.mark.native), pytest.param(1, id="ipv6")])
def test_a_rule_that_goes_cuts_what_it_let_in_both_directions_and_nothing_else(host, family):
    group(host, "in", {**TCP, "port_min": 2000})
    group(host, "out", {"direction": "EGRESS", "protocol": "tcp", "port_min": 2000})
    rules = {"in": {**TCP, "port_min": 1000}, "out": {"direction": "EGRESS", "protocol": "tcp", "port_min": 1000}}
    uuids = {name: rule(host, name, r) for name, r in rules.items()}
    pair = Pair(host, "default:sg=out", "default:sg=in", family)
    for name, r in rules.items():
        unrule(host, name, uuids[name])
        assert pair.is_cut(), name
        rule(host, name, r)                 # … and what is let again goes on: nothing was thrown away
        assert pair.passes(0), name
    pair.end()
    ungroup(host, "in", "out")


DATAGRAMS = r"""
import json, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 1000))
s.setblocking(False)
got = 0
for line in sys.stdin:
    verb, *args = json.loads(line)
    if verb == "send":
        s.sendto(b"x", (("::ffff:" if "." in args[0] else "") + args[0], 1000))
    try:
        while s.recv(99):
            got += 1
    except BlockingIOError:
        pass
    print(json.dumps(got), flush=True)
"""


UDP = {"direction": "INGRESS", "protocol": "udp"}


def server_and_client(host):
    """Both may send what they like; to the server also what comes to port 1000, by the rule that is returned."""
    group(host, "server", {"direction": "EGRESS"})
    group(host, "client", {"direction": "EGRESS"}, UDP)
    return node(host, network="default:sg=client"), node(host, network="default:sg=server"), rule(host, "server", {**UDP, "port_min": 1000})


def flow_goes_on_without_its_rule(host, a, to_a, b, to_b, let):
    with Inside(host, a, DATAGRAMS) as client, Inside(host, b, DATAGRAMS) as server:
        eventually(lambda: client.ask("send", to_b) is not None and server.ask("got"), "what the rule lets in")
        eventually(lambda: server.ask("send", to_a) is not None and client.ask("got"), "the answer")
        unrule(host, "server", let)
        had = server.ask("got")
        for _ in range(5):
            client.ask("send", to_b)
        assert server.ask("got") == had
        before = client.ask("got")

        def other_way():
            client.ask("send", to_b)        # it is kept up
            server.ask("send", to_a)        # … and this was never forbidden
            return client.ask("got") >= before + 5
        eventually(other_way, "the server may send where its rules let it", 10)
        rule(host, "server", {**UDP, "port_min": 1000})
        had = server.ask("got")
        eventually(lambda: client.ask("send", to_b) is not None and server.ask("got") > had, "let again")
    host.berth("rm", "-f", a, b)
    ungroup(host, "server", "client")


@pytest.mark.parametrize("family", [pytest.param(0, id="ipv4", marks=pytest.mark.native), pytest.param(1, id="ipv6")])
def test_datagrams_of_a_flow_that_goes_on_without_its_rule_are_measured_in_both_directions_as_what_they_are(host, family):
    (a, la), (b, lb), let = server_and_client(host)
    flow_goes_on_without_its_rule(host, a, addresses(la)[family], b, addresses(lb)[family], let)


FLOATING = {0: ("192.0.2.96/27", "192.0.2.100", "192.0.2.101"), 1: ("2001:db8::100-2001:db8::10f", "2001:db8::100", "2001:db8::101")}


@pytest.mark.parametrize("family", [pytest.param(0, id="ipv4", marks=pytest.mark.native), pytest.param(1, id="ipv6")])
def test_datagrams_of_a_flow_that_is_translated_at_both_ends_are_measured_so_too(host, outside, family):
    pool, *ips = FLOATING[family]
    (a, _), (b, _), let = server_and_client(host)
    host.berth("floating-ip", "pool-create", "--range", pool, "--link", "out0", "both")
    for ip, name in zip(ips, (a, b)):
        host.berth("floating-ip", "allocate", "--ip", ip)
        host.berth("floating-ip", "associate", ip, name)
    flow_goes_on_without_its_rule(host, a, ips[0], b, ips[1], let)
    for ip in ips:
        host.berth("floating-ip", "release", ip)
    host.berth("floating-ip", "pool-rm", "both")


def test_other_groups_of_an_interface_cut_and_let_live_connections_at_once(host):
    group(host, "both", {**TCP, "port_min": 1000, "port_max": 2000})
    group(host, "one", {**TCP, "port_min": 2000})
    pair = Pair(host, "default", "default")             # opened before there was any group
    set_groups(host, pair.b, "both")
    assert pair.passes(0) and pair.passes(1)
    set_groups(host, pair.b, "one")
    assert pair.is_cut()
    lease, = host.inspect(pair.b)["networks"]
    assert lease["security_groups"] == ["one"] and lease["addresses"] == pair.lb[0]["addresses"]
    set_groups(host, pair.b, "one", "both")             # the union
    assert pair.passes(0) and pair.passes(1)
    host.restart()                                      # remade from the store, the number of a link's group and all
    assert sorted(host.inspect(pair.b)["networks"][0]["security_groups"]) == ["both", "one"]
    assert pair.passes(0) and pair.passes(1)
    set_groups(host, pair.b, "one")
    pid = net_pid(host)
    os.kill(pid, signal.SIGKILL)                        # … and by another berth-net
    eventually(lambda: net_pid(host) not in (None, pid), "another berth-net")
    assert pair.is_cut()
    set_groups(host, pair.b)
    assert "security_groups" not in host.inspect(pair.b)["networks"][0] and pair.passes(0)
    pair.end()
    ungroup(host, "both", "one")


def test_a_change_that_the_next_berth_net_has_heard_of_already_is_made(host):
    """It is told everything first, then asked once more what the one before it had not answered: to take away what it never made."""
    group(host, "both", {**TCP, "port_min": 1000, "port_max": 2000})
    group(host, "one", {**TCP, "port_min": 2000})
    pair, wrong = Pair(host, "default", "default"), []
    set_groups(host, pair.b, "one", "both")
    pid = net_pid(host)
    os.kill(pid, signal.SIGSTOP)

    def change():
        try:
            set_groups(host, pair.b, "one")
        except Exception as e:
            wrong.append(e)
    asking = threading.Thread(target=change)
    asking.start()
    eventually(lambda: host.inspect(pair.b)["networks"][0].get("security_groups") == ["one"], "it is to be so")
    os.kill(pid, signal.SIGKILL)
    asking.join(30 * SLOW)
    assert not wrong and not asking.is_alive() and pair.is_cut()
    set_groups(host, pair.b)
    pair.end()
    ungroup(host, "both", "one")


def test_members_come_and_go_and_what_they_were_let_goes_with_them(host):
    group(host, "friends", {**TCP, "port_min": 2000}, {"direction": "EGRESS"})
    group(host, "inner", {**TCP, "port_min": 1000, "remote_group": "friends"}, {**TCP, "port_min": 2000})
    group(host, "nobody", {"direction": "EGRESS"})
    pair = Pair(host, "default:sg=friends", "default:sg=inner")
    set_groups(host, pair.a, "nobody")                  # no friend any more
    assert pair.is_cut()
    set_groups(host, pair.a, "nobody", "friends")
    assert pair.passes(0)
    c, lc = node(host, network="default:sg=nobody")     # a new one is a stranger, whatever came before it
    assert connects(host, c, addresses(pair.lb)[0], 1000, want=False) and connects(host, c, addresses(pair.lb)[0], 2000)
    host.berth("rm", "-f", c)
    d, ld = node(host, network="default:ip=%s,sg=friends" % addresses(lc)[0])       # its address comes back to a friend
    assert connects(host, d, addresses(pair.lb)[0], 1000)
    host.berth("rm", "-f", d)
    eventually(lambda: not [x for x in (addresses(lc)[0], addresses(ld)[1]) if x in table()], "nothing of them is left")
    pair.end()
    ungroup(host, "inner", "friends", "nobody")


def connects(host, name, address, port, want=True):
    """What is to pass is waited for. Nothing answers to what is dropped, so that is waited for in vain, and not for long."""
    program = "import socket, sys\ntry:\n socket.create_connection(('%s', %d), timeout=float(sys.argv[1])); print(1)\nexcept TimeoutError:\n print(0)" % (
        address, port)
    with Inside(host, name, program, "20" if want else "0.5") as p:
        return (p.line() == "1") == want


# ---------------------------------------------------------------- the host, the world outside, names

def host_connects(address, port, want=True):
    try:
        socket.create_connection((address, port), timeout=20 if want else 0.5).close()
        return want
    except TimeoutError:
        return not want


def test_the_host_is_somebody_with_the_gateways_address(host):
    group(host, "none")
    a, la = node(host, network="default:sg=none")
    with Inside(host, a, SERVER) as server:
        assert server.line() == "up"
        four, six = addresses(la)
        assert host_connects(four, 1000, want=False) and host_connects(six, 1000, want=False)
        uuid = rule(host, "none", {**TCP, "port_min": 1000, "remote_cidr": "10.209.0.1"})
        assert host_connects(four, 1000) and host_connects(six, 1000, want=False)
        unrule(host, "none", uuid)
        rule(host, "none", {**TCP, "port_min": 1000})
        assert host_connects(four, 1000) and host_connects(six, 1000)
    with socket.create_server(("0.0.0.0", 4321)) as s:      # and the other way: a service of the host's
        assert connects(host, a, "10.209.0.1", 4321, want=False)
        rule(host, "none", {"direction": "EGRESS", "protocol": "tcp", "port_min": 4321, "remote_cidr": "10.209.0.1"})
        assert connects(host, a, "10.209.0.1", 4321) and s.accept()[1][0] == addresses(la)[0]
    host.berth("rm", "-f", a)
    ungroup(host, "none")


def test_neighbours_are_found_and_names_resolve_without_a_rule_and_nothing_else_of_the_gateway_is_reached(host):
    group(host, "none")
    a, la = node(host, network="default:sg=none")
    b, lb = node(host)
    gateways = [s["gateway"] for s in host.ask("network_inspect", {"name": "default"})["networks"][0]["subnets"]]
    other = ("import socket, sys\ns = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n"
             "s.connect((sys.argv[1], 54)); s.settimeout(0.5)\n"
             "try:\n s.send(b'x'); s.recv(99); print('answer')\nexcept ConnectionRefusedError:\n print('answer')\nexcept TimeoutError:\n print('nothing')")
    for gateway in gateways:
        for kind in ("udp", "tcp"):
            eventually(lambda: (lambda x: x and addresses_in(x))(ask(host, a, packet(b), gateway, kind)) == [addresses(lb)[0]], "%s by %s" % (gateway, kind), 20)
        with Inside(host, a, other, gateway) as p:
            assert p.line() == "nothing", gateway
    host.berth("rm", "-f", a, b)
    ungroup(host, "none")


def test_published_ports_and_answers_from_outside_are_measured_by_the_real_source(host, outside):
    group(host, "site", {**TCP, "port_min": 1000, "remote_cidr": "192.0.2.2"}, {"direction": "EGRESS", "protocol": "tcp", "port_min": 99, "remote_cidr": "192.0.2.2"})
    outside.do("ip", "addr", "add", "192.0.2.3/24", "dev", "eth0")
    a, la = node(host, "-p", "8080:1000", network="default:sg=site")
    dial = ("import socket\ns = socket.socket(); s.settimeout(%s); s.bind(('%s', 0))\ntry:\n s.connect(('192.0.2.1', 8080)); print(s.makefile().readline())\n"
            "except TimeoutError:\n print('nothing')")
    with Inside(host, a, SERVER) as server:
        assert server.line() == "up"
        assert outside.do("python3", "-c", dial % (20, "192.0.2.2")).strip() == "192.0.2.2"
        assert outside.do("python3", "-c", dial % (0.5, "192.0.2.3")).strip() == "nothing"
    with subprocess.Popen(outside.words("python3", "-c", "import socket\ns = [socket.create_server(('192.0.2.2', p)) for p in (99, 98)]\nprint('up', flush=True)\ns[0].accept()"),
                          stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "up\n"
        assert connects(host, a, "192.0.2.2", 98, want=False) and connects(host, a, "192.0.2.2", 99)
    host.berth("rm", "-f", a)
    ungroup(host, "site")


@pytest.mark.native
def test_a_floating_ip_is_measured_by_the_real_source_and_goes_out_by_the_rules(host, outside):
    group(host, "site", {**TCP, "port_min": 1000, "remote_cidr": "192.0.2.2"})
    outside.do("ip", "addr", "add", "192.0.2.3/24", "dev", "eth0")
    host.berth("floating-ip", "pool-create", "--range", "192.0.2.96/27", "--link", "out0", "four")
    a, la = node(host, network="default:sg=site")
    host.berth("floating-ip", "allocate", "--ip", "192.0.2.100")
    host.berth("floating-ip", "associate", "192.0.2.100", a)
    dial = ("import socket\ns = socket.socket(); s.settimeout(%s); s.bind(('%s', 0))\ntry:\n s.connect(('192.0.2.100', 1000)); print(s.makefile().readline())\n"
            "except TimeoutError:\n print('nothing')")
    with Inside(host, a, SERVER) as server:
        assert server.line() == "up"
        assert outside.do("python3", "-c", dial % (20, "192.0.2.2")).strip() == "192.0.2.2"
        assert outside.do("python3", "-c", dial % (0.5, "192.0.2.3")).strip() == "nothing"
    with subprocess.Popen(outside.words("python3", "-c", "import socket\ns = socket.create_server(('192.0.2.2', 99))\nprint('up', flush=True)\nprint(s.accept()[1][0], flush=True)"),
                          stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "up\n"
        assert connects(host, a, "192.0.2.2", 99, want=False)
        rule(host, "site", {"direction": "EGRESS", "remote_cidr": "192.0.2.2"})
        assert connects(host, a, "192.0.2.2", 99) and p.stdout.readline() == "192.0.2.100\n"
    host.berth("floating-ip", "disassociate", "192.0.2.100")
    host.berth("floating-ip", "release", "192.0.2.100")
    host.berth("floating-ip", "pool-rm", "four")
    host.berth("rm", "-f", a)
    ungroup(host, "site")


@pytest.mark.native
def test_errors_about_what_is_let_through_come_back_without_a_rule(host):
    group(host, "out", {"direction": "EGRESS", "protocol": "udp"})
    group(host, "in", {"direction": "INGRESS", "protocol": "udp", "port_min": 1500})
    a, la = node(host, network="default:sg=out")
    b, lb = node(host, network="default:sg=in")
    program = ("import socket, sys\ns = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n"
               "s.connect((sys.argv[1], int(sys.argv[2]))); s.settimeout(float(sys.argv[3]))\n"
               "try:\n s.send(b'x'); s.recv(9)\nexcept ConnectionRefusedError:\n print('refused')\nexcept TimeoutError:\n print('nothing')")
    for address in addresses(lb):
        for port, timeout, want in ((1500, "20", "refused"), (1501, "0.5", "nothing")):
            with Inside(host, a, program, address, str(port), timeout) as p:
                assert p.line() == want, (address, port)
    host.berth("rm", "-f", a, b)
    ungroup(host, "in", "out")


# ---------------------------------------------------------------- anti-spoofing

def test_a_foreign_mac_or_address_is_dropped_unless_spoofing_is_allowed(host):
    a, la = node(host)
    b, lb = node(host)
    c, lc = node(host)
    pid = str(host.status(a)["pid"])
    inside = ["nsenter", "-t", pid, "-n"]
    pretend = ("import socket, struct, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n"
               "data = struct.pack('!HHHH', 5, 1000, 8 + 6, 0) + b'pretty'\n"
               "s.sendto(struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(data), 1, 0, 9, 17, 0) + socket.inet_aton(sys.argv[1]) + socket.inet_aton(sys.argv[2])"
               " + data, (sys.argv[2], 0))\nprint('sent', flush=True)")
    listen = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 1000)); print('up', flush=True)\n"
              "while True:\n print(s.recvfrom(99)[1][0], flush=True)")
    with Inside(host, b, listen) as ear:
        assert ear.line() == "up"

        def heard(source):
            for who in (source, addresses(la)[0]):          # one that is honest comes last
                with Inside(host, a, pretend, who, addresses(lb)[0]) as p:
                    assert p.line() == "sent"
            first = ear.line()
            assert first == addresses(la)[0] or ear.line() == addresses(la)[0]
            return first == source
        ping = lambda: all(subprocess.run([*inside, "ping", "-c", "1", "-W", "1", x], capture_output=True).returncode == 0 for x in addresses(lb))
        assert not heard(addresses(lc)[0])
        eventually(ping, "with its own MAC")
        set_groups(host, a, allow_spoofing=True)
        assert heard(addresses(lc)[0])
        sh(*inside, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
        eventually(ping, "with another MAC")
        host.restart()
        assert host.inspect(a)["networks"][0]["allow_spoofing"]
        eventually(ping, "after a restart of berthd")
        set_groups(host, a, allow_spoofing=False)
        assert not ping()
        sh(*inside, "ip", "link", "set", "eth0", "address", la[0]["mac"])
        eventually(ping, "with its own MAC again")
        assert not heard(addresses(lc)[0])
    d, ld = node(host, network="default:spoof=yes")
    assert ld[0]["allow_spoofing"] and ld[0]["host_link"] in sh("nft", "list", "set", "inet", "berth", "spoofing")


# ---------------------------------------------------------------- the object, and who may what

@pytest.mark.native
def test_default_group_is_there_lets_all_out_and_its_members_in_and_cannot_be_removed(host):
    g, = host.berth("security-group", "ls", "--format", "json").json()
    assert g["meta"]["name"] == "default" and {(r["direction"], r.get("remote_group")) for r in g["rules"]} == {("egress", None), ("ingress", g["meta"]["uuid"])}
    host.refused("security-group", "rm", "default", text="always there")
    a, la = node(host, network="default:sg=default")
    b, lb = node(host, network="default:sg=default")
    c, lc = node(host)
    with Inside(host, a, SERVER) as server:
        assert server.line() == "up"
        assert connects(host, b, addresses(la)[0], 1000) and connects(host, b, addresses(la)[1], 1000)
        assert connects(host, c, addresses(la)[0], 1000, want=False)
    assert subprocess.run(["nsenter", "-t", str(host.status(a)["pid"]), "-n", "ping", "-c", "1", "-W", "20", addresses(lc)[0]], capture_output=True).returncode == 0
    host.restart()
    again, = host.berth("sg", "ls", "--format", "json").json()
    assert again == g


@pytest.mark.native
def test_a_group_in_use_is_not_removed_and_says_who_uses_it(host):
    group(host, "used")
    group(host, "naming", {**TCP, "remote_group": "used"})
    name, _ = node(host, network="default:sg=used", name="its-user")
    pod = host.berth("pod", "create", "--network", "default:sg=used", "its-pod").lines[0]
    host.refused("security-group", "rm", "used", text="used by a rule of security group naming, container its-user, pod its-pod")
    naming = host.ask("security_group_inspect", {"name": "naming"})["groups"][0]["meta"]["id"]
    assert "g%d_" % naming not in table()       # nobody is in it: it costs the kernel nothing
    assert sorted(host.ask("security_group_inspect", {"name": "used"})["groups"][0]["used_by"]) == sorted([host.inspect(name)["meta"]["uuid"], pod])
    host.berth("security-group", "rm", "naming")
    host.berth("rm", "-f", name)
    host.refused("security-group", "rm", "used", text="used by pod its-pod")
    set_groups(host, "its-pod")
    key = host.ask("security_group_inspect", {"name": "used"})["groups"][0]["meta"]["id"]
    assert "g%d_" % key in table()
    ungroup(host, "used")
    eventually(lambda: "g%d_" % key not in table(), "nothing of it is left in the kernel")
    host.berth("pod", "rm", "-f", "its-pod")


@pytest.mark.native
def test_verbs_of_the_tool_and_their_refusals(host):
    host.berth("security-group", "create", "--description", "the front", "--label", "a=b", "web")
    host.refused("security-group", "create", "web", text="there is a security group web")
    host.refused("security-group", "create", "default", text="there is a security group default")
    one = host.berth("sg", "rule", "add", "-p", "tcp", "--port", "80-90", "--remote", "10.0.0.0/8", "--description", "http", "web").lines[0]
    two = host.berth("security-group", "rule-add", "--egress", "--protocol", "icmp", "--icmp-type", "8:0", "--remote-group", "web", "web").lines[0]
    host.refused("security-group", "rule-add", "--dst-port", "80:90", "--protocol", "6", "--remote-ip", "10.0.0.0/8", "web", text="has this rule: " + one)
    for words, why in ((["--port", "80"], "--port: ports are of tcp"), (["-p", "tcp", "--port", "0"], "--port: must be"), (["-p", "tcp", "--port", "x"], "not a port"),
                       (["-p", "999"], "--protocol: '999'"), (["--remote", "10.0.0.1/8"], "--remote: '10.0.0.1/8' has bits behind"),
                       (["--icmp-type", "8"], "--icmp-type: types are of icmp"), (["--remote", "nobody"], "no security group 'nobody'"),
                       (["--ethertype", "ipv6", "--remote", "10.0.0.0/8"], "--ethertype: 10.0.0.0/8 is ipv4"), (["--egress=false"], "--ingress or --egress")):
        host.refused("security-group", "rule-add", *words, "web", text=why, code=None)
    lines = host.berth("security-group", "rule-ls", "web").lines
    assert len(lines) == 4 and re.search(r"ingress +ipv4 +tcp +80-90 +10.0.0.0/8 +http", "\n".join(lines)) and re.search(r"egress +ipv4 +icmp +type 8:0 +web", "\n".join(lines))
    g, = host.berth("security-group", "inspect", "web").json()
    assert g["description"] == "the front" and g["labels"] == {"a": "b"} and len(g["rules"]) == 3
    host.restart()
    again, = host.berth("sg", "inspect", "web").json()
    assert again == g
    host.refused("security-group", "rule-rm", "web", "nothing", text="no rule 'nothing'")
    assert host.berth("sg", "rule", "rm", "web", one, two[:13]).lines == [one, two[:13]]
    assert len(host.berth("sg", "rule", "ls", "-q", "web").lines) == 1
    a, _ = node(host)
    host.refused("security-group", "set", a, "eth0", text="--none for no group", code=2)
    host.refused("security-group", "set", a, "eth7", "web", text="no interface 'eth7'")
    host.refused("security-group", "set", a, "eth0", "nobody", text="no security group 'nobody'")
    host.refused("security-group", "set", a, "eth0", *["web"] * 17, text="at most 16", code=None)
    host.berth("security-group", "set", a, "eth0", "web", "default", "web")
    assert sorted(host.inspect(a)["networks"][0]["security_groups"]) == ["default", "web"]
    host.berth("sg", "set", "--none", "--spoof", "yes", a, "eth0")
    assert "security_groups" not in host.inspect(a)["networks"][0] and host.inspect(a)["networks"][0]["allow_spoofing"]
    host.refused("run", "--network", "default:sg=nobody", "busybox", "true", text="no security group 'nobody'", code=125)
    ungroup(host, "web")


@pytest.mark.native
def test_a_driver_that_cannot_enforce_them_refuses_groups(host):
    host.berth("network", "create", "-d", "bridge", "--subnet", "10.88.0.0/24", "flat")
    host.refused("run", "--network", "flat:sg=default", "busybox", "true", text="cannot enforce this: security groups", code=None)
    a, _ = node(host, network="flat")
    host.refused("security-group", "set", a, "eth0", "default", text="cannot enforce this: security groups")
    assert "security_groups" not in host.inspect(a)["networks"][0]
    host.berth("rm", "-f", a)
    host.berth("network", "rm", "flat")


@pytest.mark.native
def test_groups_of_other_projects_are_none_and_members_do_not_spoof(host):
    group(host, "ours")
    ours = host.ask("security_group_inspect", {"name": "ours"})["groups"][0]["meta"]["uuid"]
    with host.api(host.token("b", "bob")) as b:
        spec = {"image": "busybox", "command": ["sleep", "1000"], "networks": [{"network": "default", "security_groups": ["default"]}]}
        made = b.request("container_create", {"spec": spec, "start": True})[0]["container"]["meta"]["uuid"]
        for bad in ("ours", ours):
            with pytest.raises(Refused) as e:
                b.request("security_group_attach", {"ref": made, "link": "eth0", "groups": [bad]})
            assert e.value.code == "NOT_FOUND"
        with pytest.raises(Refused) as e:
            b.request("security_group_attach", {"ref": made, "link": "eth0", "groups": [], "allow_spoofing": True})
        assert e.value.code == "DENIED" and e.value.field == "allow_spoofing"
        assert b.request("container_inspect", {"ref": made})[0]["container"]["networks"][0]["security_groups"] == ["default"]
    # nor can an admin put a container of b into a group of another project
    with pytest.raises(Refused) as e:
        set_groups(host, made, ours)
    assert e.value.code == "NOT_FOUND"
    host.berth("rm", "-f", made)
    ungroup(host, "ours")
