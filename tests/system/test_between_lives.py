"""Interfaces that are disconnected while nothing runs: the shim keeps the namespace from one life to the next, and a berthd may die in between."""

import json
import os
import signal

import pytest

from host import eventually
from test_network_attach import connect, disconnect, leases, links, nets, reach, wanted, words     # noqa: F401 (a fixture)
from test_network_drivers import LAN, needs, nic, wire     # noqa: F401 (a fixture)
from test_networks import addresses, net_pid, node, outside, sh     # noqa: F401 (a fixture)


class Lives:
    """A container of many lives that end by themselves, until the last may stay."""

    def __init__(self, host, folder, *networks):
        self.host, self.go = host, folder / "go"
        folder.chmod(0o755)
        self.go.touch()
        flags = [x for n in networks[1:] for x in ("--network", n)]
        self.name, _ = node(host, *flags, "--restart", "always", "-v", "%s:/x" % folder, network=networks[0],
                            command=("sh", "-c", "test -e /x/go && exec sleep 1000; exit 1"))
        self.shim = host.status(self.name)["shim_pid"]
        self.go.unlink()
        os.kill(host.status(self.name)["pid"], signal.SIGKILL)

    def pause(self, then=lambda: None):
        """Between two of them, and the next does not begin; before, what is to be done while its shim answers."""
        while True:
            self.host.wait_pause(self.name)
            then()
            os.kill(self.shim, signal.SIGSTOP)
            if self.host.state_of(self.name) == "backoff":
                return
            os.kill(self.shim, signal.SIGCONT)

    def live(self):
        self.go.touch()
        os.kill(self.shim, signal.SIGCONT)
        self.host.wait_state(self.name, "running", seconds=30)


@pytest.mark.native
def test_macvlan_interface_that_is_disconnected_after_a_crash_between_two_lives_is_not_in_the_next(host, wire, tmp_path):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    c = Lives(host, tmp_path, "default", "lan:ip=10.94.0.7")
    first, second = leases(host, c.name)
    c.pause(host.restart)
    with host.client() as asking:
        asked = asking.ask("network_disconnect", {"ref": c.name, "network": "lan"})
        eventually(lambda: len(leases(host, c.name)) == 1 or leases(host, c.name)[1].get("leaving"), "it is begun")
        host.refused("run", "--network", "lan:ip=10.94.0.7", "busybox", "true", text="10.94.0.7 is container %s's" % c.name, code=125)
        c.live()
        assert asking.answer(asked)[0].get("done", {}).get("text") == "eth1"
    assert leases(host, c.name) == [first] and links(host, c.name) == wanted([first])


@pytest.mark.native
def test_macvlan_interface_that_was_leaving_when_berthd_died_between_two_lives_is_not_in_the_next(host, wire, tmp_path):
    needs("macvlan")
    host.berth("network", "create", "-d", "macvlan", "-o", "parent=wire0", *LAN, "lan")
    c = Lives(host, tmp_path, "default", "lan:ip=10.94.0.7")
    first, _ = leases(host, c.name)
    c.pause()
    p = host.popen("network", "disconnect", "lan", c.name)
    eventually(lambda: leases(host, c.name)[1].get("leaving"), "it is begun")
    host.settled()
    host.kill()
    os.kill(c.shim, signal.SIGCONT)
    host.start()
    c.live()
    assert p.wait(20) == 0      # it asks the next berthd, which knows it again
    eventually(lambda: leases(host, c.name) == [first] and links(host, c.name) == wanted([first]), lambda: "gone: %r" % leases(host, c.name))


@pytest.mark.native
def test_what_was_leaving_one_that_has_ended_since_goes_when_berthd_is_back(host, nets):
    a, (first,) = node(host)
    connect(host, "red", a, "--ip", "10.86.0.7")
    with host.client() as c:
        os.kill(net_pid(host), signal.SIGSTOP)
        c.ask("network_disconnect", {"ref": a, "network": "red"})
        eventually(lambda: leases(host, a)[1].get("leaving"), "it is begun")
        host.berth("stop", "-t", "0", a)
        host.settled()
        host.restart()
    eventually(lambda: leases(host, a) == [first], lambda: "it has gone: %r" % leases(host, a))
    b, lb = node(host, network="red:ip=10.86.0.7")
    host.berth("start", a)
    assert links(host, a) == wanted([first]) and addresses(lb)[0] == "10.86.0.7"


@pytest.mark.native
def test_rules_of_an_interface_that_went_between_two_lives_do_not_stay_beside_those_of_the_next(host, nets, tmp_path):
    c = Lives(host, tmp_path, "default", "red:ip=10.86.0.7,ip=fd00:86::7")
    c.pause()
    for _ in range(2):
        assert disconnect(host, "red", c.name) == "eth1"
        assert connect(host, "red", c.name, "--ip", "10.86.0.7", "--ip", "fd00:86::7") == "eth1"
    c.live()
    red, _ = node(host, network="red")
    reach(host, red, "10.86.0.7", "fd00:86::7")
    ours = [x for family in ("-4", "-6") for x in json.loads(sh(*words(host, c.name), "ip", "-j", family, "rule")) if x["priority"] == 1000]
    index = {x["ifname"]: x["ifindex"] for x in json.loads(sh(*words(host, c.name), "ip", "-j", "link"))}
    assert sorted((x["src"], int(x["table"])) for x in ours) == sorted((ip, 100000 + index[l["link"]]) for l in leases(host, c.name) for ip in l["addresses"])


def namespaces(pid):
    """Those that it has open, but for the host's."""
    try:
        found = {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)} if pid else set()
    except FileNotFoundError:       # one was closed, or it has ended
        return set()
    return {x for x in found if x.startswith("net:")} - {os.readlink("/proc/self/ns/net")}


@pytest.mark.native
def test_phys_nic_between_two_lives_is_held_by_each_berth_net_of_the_next_berthd(host, wire, tmp_path):
    host.berth("network", "create", "-d", "phys", "-o", "parent=wire0", *LAN, "nic")
    before = nic()
    c = Lives(host, tmp_path, "nic")
    c.pause(host.restart)
    its = namespaces(c.shim)
    assert len(its) == 1
    eventually(lambda: its <= namespaces(net_pid(host)), "the next berthd's berth-net holds its namespace")
    pid = net_pid(host)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: net_pid(host) != pid and its <= namespaces(net_pid(host)), "and the one after that")
    os.kill(c.shim, signal.SIGCONT)
    host.berth("rm", "-f", c.name)
    eventually(lambda: nic() == before, lambda: "it is back: %r" % (nic(),))
