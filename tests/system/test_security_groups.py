"""Security groups, seen by what passes and what does not: a model says what must, and packets between two containers what does."""

import itertools
import json
import os
import re
import select
import socket
import subprocess
import time

import pytest

from host import eventually
from proto import Refused
from test_networks import addresses, node, outside, sh, table     # noqa: F401 (outside is a fixture)

# Runs in the network namespace of the one that is asked: TCP, UDP and a protocol that nobody has, on IPv4 and IPv6.
SERVER = r"""
import select, socket, sys
PORTS, ODD = (1000, 2000, 9), 253
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
        if socks[s] == "odd" and s.family == socket.AF_INET:
            data = data[20:]
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
        kind, number = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "odd": (socket.SOCK_RAW, 253),
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

PROBES = [(4, "tcp", 1000), (4, "tcp", 2000), (4, "udp", 1000), (4, "udp", 2000), (4, "icmp", 8), (4, "icmp", 13), (4, "odd", 0),
          (6, "tcp", 1000), (6, "tcp", 2000), (6, "udp", 1000), (6, "udp", 2000), (6, "icmp", 128), (6, "odd", 0)]

# What of a rule is about the protocol: and the probes that it means.
PROTOCOLS = {
    "any": ({}, lambda f, p, n: True),
    "tcp": ({"protocol": "tcp"}, lambda f, p, n: p == "tcp"),
    "udp": ({"protocol": "17"}, lambda f, p, n: p == "udp"),
    "icmp": ({"protocol": "icmp"}, lambda f, p, n: p == "icmp" and f == 4),
    "icmpv6": ({"protocol": "icmpv6"}, lambda f, p, n: p == "icmp" and f == 6),
    "253": ({"protocol": "253"}, lambda f, p, n: p == "odd"),
    "sctp": ({"protocol": "sctp"}, lambda f, p, n: False),
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
            for (protocol, (p, fits)), (family, (f, of)), (remote, (r, ends)) in itertools.product(PROTOCOLS.items(), FAMILIES.items(), others.items()):
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
    assert cases > 400
    host.berth("rm", "-f", a, b)
    ungroup(host, "open", "tested", "friends", "strangers")


def set_groups(host, name, *groups, link="eth0", **more):
    host.ask("security_group_attach", {"ref": name, "link": link, "groups": list(groups), **more})
