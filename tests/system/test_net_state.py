"""A State is the whole truth: what an earlier berth-net has put besides goes, however much it is; and what it had begun is finished."""

import os
import subprocess

import pytest

from berthnet import BerthNet
from host import BIN, eventually
from test_networks import sh

MANY = 600      # more than is asked for and taken away at once


@pytest.fixture
def net():
    n = BerthNet("unshare", "-n", os.path.join(BIN, "berth-net"))
    yield n
    n.end()


def routes(net):
    """Of floating IPs, and of pools that lead to nobody."""
    lines = sh("nsenter", "-t", str(net.p.pid), "-n", "ip", "route", "show", "proto", "190").splitlines()
    return len([x for x in lines if "unreachable" not in x]), len([x for x in lines if "unreachable" in x])


def state(floating, pools):
    four = [bytes([198, 18, i >> 8, i & 255]) for i in range(floating + 2)]
    ports = [{"host_link": "bt%x" % i, "link": "eth0", "mac": bytes([2, 0, 0, 0, i >> 8, i & 255]), "addresses": [bytes([10, 209, i >> 8, i & 255])],
              "network_key": 1, "floating": [{"address": four[i], "inside": bytes([10, 209, i >> 8, i & 255])}]} for i in range(2, floating + 2)] if floating else []
    return {"networks": [{"key": 1, "subnets": [{"network": bytes([10, 209, 0, 0]), "prefix": 16, "gateway": bytes([10, 209, 0, 1])}]}], "ports": ports,
            "pools": [{"network": bytes([198, 19, i >> 8, i & 255]), "prefix": 32} for i in range(pools)]}


@pytest.mark.native
def test_addresses_and_pools_of_floating_ips_that_a_state_does_not_name_go_by_the_hundred(net):
    net.ask("state", state(MANY - 1, MANY))
    assert routes(net) == (MANY - 1, MANY)
    net.ask("state", state(1, 1))
    assert routes(net) == (1, 1)
    net.ask("state", state(0, 0))
    assert routes(net) == (0, 0)


def test_the_host_listens_to_no_router_on_a_pair_of_links_that_was_made_and_no_more_when_berth_net_was_killed(net):
    net.ask("state", state(0, 0))
    here, setting = ["nsenter", "-t", str(net.p.pid), "-n"], "/proc/sys/net/ipv6/conf/bt7/accept_ra"
    pod = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo there; exec sleep 1000"], stdout=subprocess.PIPE)
    try:
        assert pod.stdout.readline() == b"there\n"
        sh(*here, "ip", "link", "add", "bt7", "type", "veth", "peer", "name", "eth0", "netns", str(pod.pid))
        sh(*here, "sh", "-c", "echo 2 > " + setting)
        fd = os.pidfd_open(pod.pid)
        net.ask("attach", {"port": {"host_link": "bt7", "link": "eth0", "mac": bytes([2, 0, 0, 0, 0, 7]), "addresses": [bytes([10, 209, 0, 7])],
                                    "network_key": 1, "subnets": state(0, 0)["networks"][0]["subnets"], "default_route": True}}, fd)
        os.close(fd)
        assert sh(*here, "cat", setting) == "0\n"
    finally:
        pod.kill()
        pod.wait()


def test_who_needs_a_bridge_that_somebody_has_removed_makes_it_and_the_other_ports_come_back_to_it(net):
    """Whatever berth-net hears of first: that it has gone, or that somebody needs it."""
    here, pods = ["nsenter", "-t", str(net.p.pid), "-n"], []
    bridge = {"driver": 1, "link": "btbridge"}
    subnets = [{"network": bytes([10, 85, 0, 0]), "prefix": 24, "gateway": bytes([10, 85, 0, 1])}]
    ports = [{"host_link": "bt%x" % i, "link": "eth0", "mac": bytes([2, 0, 0, 0, 0, i]), "addresses": [bytes([10, 85, 0, i])], "network_key": 1,
              "subnets": subnets, "uplink": bridge, "default_route": True} for i in (7, 8)]
    whole = {"networks": [{"key": 1, "subnets": subnets, "uplink": bridge}]}

    def attach(p):
        pods.append(subprocess.Popen(["unshare", "-n", "sh", "-c", "echo there; exec sleep 1000"], stdout=subprocess.PIPE))
        assert pods[-1].stdout.readline() == b"there\n"
        fd = os.pidfd_open(pods[-1].pid)
        net.ask("attach", {"port": p}, fd)
        os.close(fd)

    def lost():
        return [m["table_lost"]["link"] for m in net.said if "table_lost" in m]
    try:
        net.ask("state", whole)
        attach(ports[0])
        sh(*here, "ip", "link", "del", "btbridge")
        attach(ports[1])
        assert lost() == ["btbridge"]
        net.ask("state", dict(whole, ports=ports))
        assert sh(*here, "ip", "-o", "link", "show", "master", "btbridge").count("link-netns") == 2
        net.ask("state", dict(whole, ports=ports))
        assert lost() == ["btbridge"]
    finally:
        for pod in pods:
            pod.kill()
            pod.wait()


@pytest.mark.native
@pytest.mark.alone
def test_what_somebody_removes_while_a_state_makes_it_ends_no_berth_net_and_is_told(net):
    net.ask("state", {})
    here = ["nsenter", "-t", str(net.p.pid), "-n"]
    whole = {"networks": [{"key": i + 1, "subnets": [{"network": bytes([10, i >> 8, i & 255, 0]), "prefix": 24, "gateway": bytes([10, i >> 8, i & 255, 1])}]}
                          for i in range(MANY)]}
    remover = subprocess.Popen([*here, "sh", "-c", "echo there; until ip link del berth0 2>/dev/null; do :; done"], stdout=subprocess.PIPE)
    assert remover.stdout.readline() == b"there\n"
    net.ask("state", whole)
    said = list(net.said) or [net.hear()]
    remover.kill()
    remover.wait()
    net.ask("state", whole)
    assert [m["table_lost"]["link"] for m in said] == ["berth0"]
    assert sh(*here, "ip", "-o", "-4", "addr", "show", "berth0").count("inet ") == MANY


@pytest.mark.native
def test_the_gateway_of_a_network_that_is_put_once_more_is_not_in_its_way_though_the_kernel_has_no_more_than_a_route_to_it_yet(net):
    network = {"key": 1, "subnets": [{"network": bytes([0xfd, 0, 0, 0x86] + [0] * 12), "prefix": 64, "gateway": bytes([0xfd, 0, 0, 0x86] + [0] * 11 + [1])}]}
    net.ask("state", {})
    here = ["nsenter", "-t", str(net.p.pid), "-n"]
    net.ask("network_put", {"network": network})
    eventually(lambda: sh(*here, "ip", "-6", "route", "show", "table", "local", "fd00:86::1"), "it has more")
    sh(*here, "ip", "-6", "route", "del", "local", "fd00:86::1", "table", "local", "dev", "berth0")
    assert "proto kernel" in sh(*here, "ip", "-6", "route", "get", "fibmatch", "fd00:86::1")
    net.ask("network_put", {"network": network})


def on_wire(mtu):
    return {"networks": [{"key": 1, "subnets": [{"network": bytes([10, 85, 0, 0]), "prefix": 24, "gateway": bytes([10, 85, 0, 1])}],
                          "uplink": {"driver": 1, "parent": "wire0", "link": "btwire", "mtu": mtu}}]}


@pytest.mark.native
def test_what_the_host_has_on_a_wire_that_has_become_too_small_for_the_network_is_told_too(net):
    net.ask("state", {})        # now it is in there
    here = ["nsenter", "-t", str(net.p.pid), "-n"]
    sh(*here, "ip", "link", "add", "wire0", "mtu", "1400", "type", "bridge")
    sh(*here, "ip", "addr", "add", "10.85.0.9/24", "dev", "wire0")
    net.ask("state", on_wire(1500))
    assert net.said.pop()["wire_seen"]["addresses"] == [bytes([10, 85, 0, 9])]


@pytest.mark.native
def test_who_asks_without_a_pause_keeps_nothing_else_from_being_heard(net):
    net.ask("state", {})
    here, asked = ["nsenter", "-t", str(net.p.pid), "-n"], 0
    sh(*here, "ip", "link", "add", "wire0", "type", "bridge")
    net.ask("state", on_wire(0))
    assert "addresses" not in net.said.pop()["wire_seen"]
    slow = {"pools": state(0, 50)["pools"]}      # … for berth-net, not for us
    for _ in range(64):
        net.send("pools_put", slow)
    comes = subprocess.Popen([*here, "ip", "addr", "add", "10.85.0.9/24", "dev", "wire0"])
    while not net.said and asked < 2000:
        net.result()
        net.send("pools_put", slow)
        asked += 1
    for _ in range(64):
        net.result()
    assert comes.wait() == 0 and net.said.pop(0)["wire_seen"]["addresses"] == [bytes([10, 85, 0, 9])]


def port(number, *published):
    """published: pairs of the host's port and the container's."""
    return {"host_link": "bt%x" % number, "link": "eth0", "mac": bytes([2, 0, 0, 0, 0, number]), "addresses": [bytes([10, 209, 0, number])],
            "network_key": 1, "published": [{"protocol": 6, "host_port": h, "port": p} for h, p in published]}


@pytest.mark.native
def test_a_change_that_takes_several_transactions_is_not_taken_for_somebody_elses(net):
    """What a State that came in between has made differently makes a change of one transaction one of several."""
    whole = state(0, 0)
    net.ask("state", dict(whole, ports=[port(7, (8080, 82))]))
    net.ask("port_update", {"was": port(7, (8080, 80), (9090, 90)), "port": port(7, (8080, 81), (9091, 91), (9092, 92))})
    net.ask("network_put", {"network": whole["networks"][0]})
    assert not [m for m in net.said if "table_lost" in m]      # that bt7 is not there it may say
    text = sh("nsenter", "-t", str(net.p.pid), "-n", "nft", "list", "map", "inet", "berth", "to4")
    assert "10.209.0.7 . 81" in text and "9091" in text and "9090" not in text


@pytest.mark.native
def test_what_the_table_says_to_a_change_of_a_port_is_told_also_when_its_link_has_gone(net):
    net.ask("state", dict(state(0, 0), ports=[port(7)]))
    sh("nsenter", "-t", str(net.p.pid), "-n", "nft", "delete", "table", "inet", "berth")
    result = net.tell("port_update", {"was": port(7), "port": port(7, (8080, 80))})
    assert result.get("step") == "nftables", result
    net.ask("state", dict(state(0, 0), ports=[port(7)]))
    net.ask("port_update", {"was": port(7), "port": port(7, (8080, 80))})       # the rest of it, of which there is nothing, is done
