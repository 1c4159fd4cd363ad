"""The rules of security groups have two forms, the whole table's text and a change's messages: the kernel has the same of both."""

import errno
import itertools
import os

import pytest

from berthnet import BerthNet
from host import BIN, IN_VM
from test_networks import sh

FOUR, SIX = bytes([10, 1, 130, 3]), bytes([0x20, 1, 0xd, 0xb8, 0xff] + [0] * 11)
NETWORK = {"key": 1, "masquerade": True, "subnets": [{"network": bytes([10, 209, 0, 0]), "prefix": 16, "gateway": bytes([10, 209, 0, 1])}]}
REMOTES = [{}, {"remote_group": 1}, {"remote_group": 9}, *({"remote": FOUR, "prefix": n} for n in (0, 8, 17, 32)),
           *({"remote": SIX, "prefix": n} for n in (0, 33, 64, 128))]
WHAT = [{}, {"protocol": 47}, {"protocol": 6, "first": 80, "last": 80}, {"protocol": 17, "first": 0, "last": 65535}, {"protocol": 132, "first": 7, "last": 8},
        {"protocol": 1}, {"protocol": 1, "icmp_type": 8}, {"protocol": 1, "icmp_type": 3, "icmp_code": 4}, {"protocol": 58, "icmp_type": 128},
        {"protocol": 58, "icmp_type": 1, "icmp_code": 0}]


def every_rule():
    for way, family, remote, what in itertools.product(({}, {"egress": True}), ({}, {"family": 4}, {"family": 6}), REMOTES, WHAT):
        of_remote = len(remote.get("remote", b"")) // 4 and (6 if len(remote["remote"]) == 16 else 4)
        known = family.get("family", 0)
        if of_remote != known and of_remote:
            continue        # an address has its family
        if what.get("protocol") in (1, 58) and known != (4 if what["protocol"] == 1 else 6):
            continue        # so has ICMP
        yield {**way, **family, **remote, **what}


# A set of many ranges, first and last port of all and neither of them; and as many rules as a group may have, none like another (not where listing them takes a minute).
PORTS = [[{"protocol": 6, "first": 3 * i, "last": 3 * i + i % 2} for i in range(300)],
         [{"protocol": 6, "first": 5, "last": 5}, {"protocol": 6, "first": 60000, "last": 65535}, {"protocol": 17, "first": 0, "last": 9}, {"protocol": 17, "first": 53, "last": 53}]]
MANY = [{"family": 4, "protocol": 6, "first": 22, "last": 80, "remote": bytes([10, 2, i >> 8, i & 255]), "prefix": 32} for i in range(64 if IN_VM else 1024)]
GROUPS = [{"key": i + 1, "rules": rules} for i, rules in enumerate([list(every_rule()), *PORTS, MANY, []])]
POLICIES = [{"key": 100, "groups": [1]}, {"key": 101, "groups": [2, 1, 5]}, {"key": 102, "groups": [4]}]


@pytest.fixture
def net():
    n = BerthNet("unshare", "-n", os.path.join(BIN, "berth-net"))
    yield n
    n.end()


def table(net):
    return sh("nsenter", "-t", str(net.p.pid), "-n", "nft", "-s", "list", "table", "inet", "berth")


def test_each_rule_that_comes_alone_is_what_the_whole_table_has_of_it_and_goes_without_a_trace(net):
    assert len(GROUPS[0]["rules"]) > 200
    net.ask("state", {"networks": [NETWORK]})
    empty = table(net)
    for g in GROUPS:
        net.ask("group_put", {"group": g})
    for p in POLICIES:
        net.ask("policy_put", {"policy": p})
    alone = table(net)
    for g in reversed(GROUPS):
        net.ask("group_put", {"group": g})
    for p in POLICIES:
        net.ask("policy_put", {"policy": p})
    assert table(net) == alone, "once more is no more"
    for p in POLICIES + POLICIES[:1]:
        net.ask("policy_delete", {"key": p["key"]})
    for key in (1, 2, 3, 4, 5, 9, 1):
        net.ask("group_delete", {"key": key})
    assert table(net) == empty
    net.ask("state", {"networks": [NETWORK], "groups": GROUPS, "policies": POLICIES})
    assert table(net) == alone


def test_a_group_that_the_kernel_refuses_rule_by_rule_is_not_the_answer_to_what_is_asked_next(net):
    net.ask("state", {"groups": GROUPS})
    sh("nsenter", "-t", str(net.p.pid), "-n", "nft", "delete", "table", "inet", "berth")
    with pytest.raises(AssertionError, match="'sys_errno': %d," % errno.ENOENT):
        net.ask("group_put", {"group": GROUPS[3]})
    net.ask("state", {"groups": GROUPS})
    net.ask("group_put", {"group": GROUPS[1]})


def net_of(key, *subnets, bridge=None, masquerade=True):
    """Subnets by their first bytes and prefix; the gateway is the first address."""
    whole = [(first + bytes((4 if len(first) < 5 else 16) - len(first)), prefix) for first, prefix in subnets]
    return {"key": key, "masquerade": masquerade, "subnets": [{"network": n, "prefix": p, "gateway": n[:-1] + b"\1"} for n, p in whole],
            **({"uplink": {"driver": 1, "link": bridge}} if bridge else {})}


SIX_AND_MORE = bytes([0xfd, 0, 0, 0, 0, 0])
NETWORKS = [net_of(1, (bytes([10, 209]), 16), (SIX_AND_MORE + b"\1", 64)), net_of(2, (bytes([10, 210]), 16)),     # … one ends where the next begins
            net_of(3, (bytes([10, 208, 128]), 17), (SIX_AND_MORE + b"\2", 64)), net_of(4, (bytes([10, 211, 0]), 24), masquerade=False),
            net_of(5, (bytes([10, 212, 255]), 24), (SIX_AND_MORE + b"\3", 63), bridge="bt5"), net_of(6, (bytes([10, 213]), 30), bridge="bt6", masquerade=False)]


def test_each_network_that_comes_alone_is_what_the_whole_table_has_of_it_and_goes_without_a_trace(net):
    net.ask("state", {})
    empty = table(net)
    for n in NETWORKS:
        net.ask("network_put", {"network": n})
    alone = table(net)
    assert "10.209.0.0/16" in alone and "10.210.0.0/16" in alone and "bt5" in alone
    for n in reversed(NETWORKS):
        net.ask("network_put", {"network": n})
    assert table(net) == alone, "once more is no more"
    for n in NETWORKS[::2]:
        net.ask("network_delete", {"network": n})
    some = table(net)
    for n in NETWORKS[::2]:
        net.ask("network_delete", {"network": n})
    assert table(net) == some and "10.210.0.0/16" in some and "10.209.0.0/16" not in some
    for n in NETWORKS[1::2]:
        net.ask("network_delete", {"network": n})
    assert table(net) == empty
    # What the whole table has is taken out as well.
    net.ask("state", {"networks": NETWORKS})
    assert table(net) == alone
    for n in NETWORKS:
        net.ask("network_delete", {"network": n})
    assert table(net) == empty
