"""Limits of an interface, measured; what went through it, counted; and what `berth check` says of networks."""

import json
import re
import subprocess

import pytest

from host import eventually
from test_networks import addresses, ask, inside, node, outside, sh  # noqa: F401 (a fixture)
from test_publish import serving

# Received for two seconds, after half a second in which queues fill; in bits per second.
SINK = ("import socket, sys, time\ns = socket.create_server(('::', 5), family=socket.AF_INET6, dualstack_ipv6=True); print('up', flush=True)\n"
        "c, _ = s.accept()\ndef read(seconds):\n n, end = 0, time.monotonic() + seconds\n while time.monotonic() < end:\n  n += len(c.recv(1 << 20))\n return n\n"
        "read(0.5); begun = time.monotonic(); n = read(2); print(int(n * 8 / (time.monotonic() - begun)), flush=True)\n")
SOURCE = ("import socket, sys\ns = socket.create_connection((sys.argv[1], 5), 10); x = bytes(1 << 16)\n"
          "try:\n while True: s.sendall(x)\nexcept OSError: pass\n")


def rate(host, sink, to, source):
    """Mbit/s of one TCP connection between two containers."""
    server = inside(host, sink, SINK)
    assert server.stdout.readline() == "up\n"
    client = subprocess.Popen(["nsenter", "-t", str(host.status(source)["pid"]), "-n", "timeout", "300", "python3", "-c", SOURCE, to])
    mbit = int(server.stdout.readline()) / 1e6
    server.communicate()
    client.terminate()
    client.wait()
    return mbit


def links():
    return {x["ifname"]: x for x in json.loads(sh("ip", "-j", "link"))}


@pytest.mark.native
@pytest.mark.alone
def test_rates_hold_in_both_directions_on_v4_and_v6_and_change_while_it_runs(host):
    slow, lease = node(host, network="default:rate-in=20mbit,rate-out=10mbit")
    fast, other = node(host)
    assert (lease[0]["ingress_bps"], lease[0]["egress_bps"]) == (20000000, 10000000)
    four, six = addresses(lease)
    assert 5 < rate(host, slow, four, fast) < 30 and 5 < rate(host, slow, six, fast) < 30
    for to in addresses(other):
        assert 2.5 < rate(host, fast, to, slow) < 15
    host.berth("network", "limit", "--rate-in", "none", "--rate-out", "40mbit", slow)
    lease = host.inspect(slow)["networks"][0]
    assert not lease.get("ingress_bps") and lease["egress_bps"] == 40000000
    assert rate(host, slow, four, fast) > 45 and 15 < rate(host, fast, addresses(other)[0], slow) < 60
    host.berth("network", "limit", "--rate-out", "none", slow, "eth0")
    assert not any(name.startswith("bf") for name in links())
    assert rate(host, fast, addresses(other)[0], slow) > 70


def test_limits_stay_over_stop_start_and_kill_9_of_berthd_and_leave_nothing(host):
    name, (lease,) = node(host, network="default:rate-in=20mbit,rate-out=10mbit")
    link, ifb = lease["host_link"], "bf" + lease["host_link"][2:]
    there = lambda: ifb in links() and "tbf" in sh("tc", "qdisc", "show", "dev", link) and "rate 10Mbit" in sh("tc", "qdisc", "show", "dev", ifb)
    assert there()
    host.kill()
    sh("tc", "qdisc", "del", "dev", link, "root")
    host.start()
    eventually(there, "the limits after kill -9 of berthd")
    host.berth("stop", "-t", "0", name)
    eventually(lambda: ifb not in links(), "gone with what it limits")
    host.berth("start", name)
    assert there()
    host.berth("rm", "-f", name)
    eventually(lambda: ifb not in links(), "gone with the container")


@pytest.mark.native
def test_a_network_of_the_driver_bridge_has_floating_ips_ports_and_limits_too(host, outside):  # noqa: F811
    host.berth("network", "create", "--driver", "bridge", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64", "bridged")
    name, lease = node(host, "-p", "8080:80", network="bridged:rate-in=20mbit,rate-out=10mbit")
    other, lo = node(host, network="bridged")
    host.berth("floating-ip", "pool-create", "--range", "192.0.2.96/27", "--link", "out0", "four")
    host.berth("floating-ip", "allocate", "--ip", "192.0.2.100")
    host.berth("floating-ip", "associate", "192.0.2.100", name)
    with serving(host, name):
        assert ask("192.0.2.100", 80, 1, outside.words()) == "192.0.2.2" and ask("192.0.2.1", 8080, 2, outside.words()) == "nothing"
        assert ask("192.0.2.1", 8080, 1, outside.words()) == "192.0.2.2" and ask("127.0.0.1", 8080) != "nothing"
        enter = ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]
        assert ask("192.0.2.100", 80, 1, enter) != "nothing" and ask("192.0.2.1", 8080, 1, enter) != "nothing"
    assert 5 < rate(host, name, addresses(lease)[0], other) < 30 and 2.5 < rate(host, other, addresses(lo)[0], name) < 15


@pytest.mark.native
def test_rates_that_cannot_be_are_refused(host):
    for rate_, text, code in (("lots", "is not a rate in bits per second", 125), ("1bit", "must be 8000 to", 125), ("9999gbit", "must be 8000 to", 125),
                              ("", "is not a rate", 125), ("10mbyte", "is not a rate", 125)):
        host.refused("run", "--network", "default:rate-in=" + rate_, "busybox", "true", text=text, code=code)
    name, _ = node(host)
    host.refused("network", "limit", "--rate-in", "1mbit", name, "eth7", text="has no interface 'eth7'")
    host.refused("network", "limit", name, text="which limit", code=2)
    host.refused("network", "limit", "--rate-in", "5", name, text="must be 8000 to", code=2)


@pytest.mark.native
def test_stats_count_what_goes_through_each_interface(host):
    host.berth("network", "create", "--subnet", "10.90.0.0/24", "second")
    a = host.detached("--network", "default", "--network", "second", "--", "sleep", "1000")
    b, lb = node(host)
    stats = lambda name: {i["link"]: i for i in host.berth("stats", "--no-stream", "--format", "json", name).json()[0].get("interfaces", [])}
    before = stats(a)
    assert set(before) == {"eth0", "eth1"}
    host.berth("exec", a, "ping", "-c", "3", "-i", "0.1", "-s", "1000", addresses(lb)[0])
    after = stats(a)
    assert after["eth0"]["tx_packets"] >= before["eth0"].get("tx_packets", 0) + 3 and after["eth0"]["rx_bytes"] >= before["eth0"].get("rx_bytes", 0) + 3000
    assert after["eth1"].get("tx_bytes", 0) - before["eth1"].get("tx_bytes", 0) < 3000
    assert re.search(r"NET I/O", host.berth("stats", "--no-stream").out) and " / " in host.berth("stats", "--no-stream", a).out
    alone = host.detached("--", "sleep", "1000")
    assert stats(alone) == {}


@pytest.mark.native
def test_check_says_what_the_kernel_has_for_networks_and_changes_nothing(host):
    before = (sh("ip", "-j", "link"), sh("nft", "list", "ruleset"), open("/proc/sys/net/ipv4/ip_forward").read())
    items = {i["name"]: i for i in host.berth("check", "--format", "json", code=None).json()}
    assert {"nftables", "connection tracking", "veth", "forwarding IPv4", "forwarding IPv6", "route_localnet", "bandwidth limits in", "bandwidth limits out",
            "bridge", "macvlan", "ipvlan", "packet sockets"} <= set(items)
    for name in ("nftables", "connection tracking", "veth", "forwarding IPv4", "route_localnet"):
        assert items[name]["result"] == "ok", items[name]
    for i in items.values():
        assert i["result"] == "ok" or i.get("remedy"), i
    probe = subprocess.run(["unshare", "-n", "ip", "link", "add", "x", "type", "dummy"], capture_output=True)       # a network namespace can be asked here
    assert probe.returncode in (0, 2) and before == (sh("ip", "-j", "link"), sh("nft", "list", "ruleset"), open("/proc/sys/net/ipv4/ip_forward").read())


@pytest.mark.native
def test_check_says_that_somebody_has_switched_forwarding_off_where_there_are_networks(host):
    host.run_("--network", "default", "--", "true")
    paths = {"forwarding IPv4": "/proc/sys/net/ipv4/ip_forward", "forwarding IPv6": "/proc/sys/net/ipv6/conf/all/forwarding"}
    try:
        for name, path in paths.items():
            with open(path, "w") as f:
                f.write("0")
            item, = [i for i in host.berth("check", "--format", "json", code=1).json() if i["name"] == name]
            assert item["result"] == "missing" and "switched it off" in item["detail"] and "=1" in item["remedy"]
    finally:
        for path in paths.values():
            with open(path, "w") as f:
                f.write("1")
    assert {i["name"]: i["result"] for i in host.berth("check", "--format", "json", code=None).json() if i["name"] in paths} == dict.fromkeys(paths, "ok")
