"""macvlan links: what is in their way, in the namespace that they are made in and on the link that they lead to."""

import json
import subprocess

import pytest

from host import eventually
from test_network_attach import connect, links, words
from test_network_drivers import LAN, needs, wire     # noqa: F401 (a fixture)
from test_networks import node, outside, pings, sh     # noqa: F401 (a fixture)


@pytest.fixture
def lan(host, wire):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")


MAC = "02:00:00:00:00:77"


@pytest.mark.native
def test_who_waits_for_its_mac_is_in_nobodys_way(host, lan):
    """As where a container starts again whose last namespace the kernel has not taken apart yet."""
    sh("ip", "link", "add", "busy0", "link", "wire0", "address", MAC, "up", "type", "macvlan", "mode", "bridge")
    try:
        waits = host.popen("run", "-d", "--name", "waits", "--network", "lan:mac=" + MAC, "busybox", "sleep", "1000")
        eventually(lambda: host.list() and host.status("waits").get("pid") and "eth0" in links(host, "waits"), "berth-net has made its link, and it cannot come up")
        node(host)
        assert waits.poll() is None, "another was made while it waited"
        sh("ip", "link", "del", "busy0")
        assert waits.wait(20) == 0
    finally:
        subprocess.run(["ip", "link", "del", "busy0"], capture_output=True)
    assert links(host, "waits")["eth0"][0] == MAC
    eventually(lambda: pings(host, "waits", "10.94.0.1"), "the machine on the wire")


@pytest.mark.native
def test_who_waits_for_its_mac_in_vain_is_told_and_leaves_nothing(host, lan):
    sh("ip", "link", "add", "busy0", "link", "wire0", "address", MAC, "up", "type", "macvlan", "mode", "bridge")
    try:
        a, was = node(host)
        host.refused("network", "connect", "--mac", MAC, "lan", a, text="Address already in use")
        assert host.inspect(a)["networks"] == was and set(links(host, a)) == {"eth0"}
        p = host.popen("network", "connect", "--mac", MAC, "lan", a)
        eventually(lambda: "eth1" in links(host, a), "it waits")
        host.berth("rm", "-f", a)
        p.communicate(timeout=20)       # and behind the test the checker looks for what is left
    finally:
        subprocess.run(["ip", "link", "del", "busy0"], capture_output=True)


@pytest.mark.native
@pytest.mark.parametrize("what", [("type", "bridge"), ("link", "eth0", "type", "macvlan", "mode", "bridge")], ids=["bridge", "macvlan"])
@pytest.mark.parametrize("network", ["lan", "default"])
def test_a_link_that_is_its_own_is_not_taken_for_ours(host, lan, network, what):
    a, was = node(host, "--cap-add", "NET_ADMIN")
    sh(*words(host, a), "ip", "link", "add", "name", "eth1", *what)
    host.refused("network", "connect", network, a, text="there is a link eth1 already, which is not of this network")
    assert host.inspect(a)["networks"] == was
    own, = [x for x in json.loads(sh(*words(host, a), "ip", "-j", "-d", "link")) if x["ifname"] == "eth1"]
    assert own["linkinfo"]["info_kind"] == what[what.index("type") + 1] and "UP" not in own["flags"]
    assert connect(host, network, a, "--link", "eth2") == "eth2"
