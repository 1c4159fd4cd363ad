"""Who holds interfaces: containers and pods; what comes and goes while they run; and attaching that fails."""

import os
import signal

import pytest

from conftest import private_host
from host import eventually
from test_networks import SERVER, addresses, ask, inside, node, outside, pings, sh, table      # outside is a fixture

NETNS = ("nsenter", "-n", "-t")


def pod(host, *flags, name="p"):
    host.berth("pod", "create", *flags, name)
    return host.berth("pod", "inspect", name).json()[0]


def pod_of(host, name="p"):
    return host.berth("pod", "inspect", name).json()[0]


def words(host, name):
    """What runs a program of the host in the container's network namespace."""
    return [*NETNS, str(host.status(name)["pid"])]


def reach(host, name, *there):
    """On a busy host the first packets of a new link may take their time."""
    for address in there:
        eventually(lambda: pings(host, name, address), "%s from %s" % (address, name))


# ---------------------------------------------------------------- pods

def test_containers_of_a_pod_share_its_interfaces_names_and_published_ports(host, outside):
    p = pod(host, "--network", "default:ip=10.209.3.3", "--hostname", "paula", "-p", "8080:80", "-p", "80/udp")
    four, six = p["networks"][0]["addresses"]
    assert four == "10.209.3.3" and p["networks"][0]["link"] == "eth0" and p["state"] == "empty"
    a, b = (host.detached("--pod", "p", "--", "sleep", "1000") for _ in "ab")
    other, lo = node(host)
    for c in (a, b):
        reach(host, c, *addresses(lo))
        hosts = host.berth("exec", c, "cat", "/etc/hosts").lines
        assert four + "\tpaula" in hosts and six + "\tpaula" in hosts
        assert "default via 10.209.0.1 dev eth0" in host.berth("exec", c, "ip", "route").out
        assert "no network" not in host.berth("exec", c, "cat", "/etc/resolv.conf").out
    reach(host, other, four, six)
    server = inside(host, a, SERVER)
    try:
        assert server.stdout.readline() == "up\n"
        for ip in (four, six, "::1"):       # of the other container of the pod too: they share their loopback
            for kind in (1, 2):
                assert ask(ip, 80, kind, words(host, b)) != "nothing"
                assert ip == "::1" or ask(ip, 80, kind, words(host, other)) != "nothing"
        found = [x["host_port"] for x in pod_of(host)["spec"]["ports"]]
        assert found[0] == 8080 and found[1] >= 61000
        assert ask("192.0.2.1", 8080, 1, outside.words()) == "192.0.2.2" and ask("192.0.2.1", found[1], 2, outside.words()) == "192.0.2.2"
    finally:
        server.terminate()
    host.refused("network", "rm", "default", text="always there")
    assert p["meta"]["uuid"] in host.berth("network", "inspect", "default").json()[0]["used_by"]
    assert "default" in [x for x in host.berth("pod", "ls").lines if " p " in x][0]


@pytest.mark.native
def test_leases_of_a_pod_stay_over_its_holders_end_and_kill_9_of_berthd_and_go_with_it(host):
    host.berth("network", "create", "--subnet", "10.85.0.0/24", "back")
    p = pod(host, "--network", "default", "--network", "back", "-p", "8080:80")
    a = host.detached("--pod", "p", "--restart", "always", "--", "sleep", "1000")
    other, lo = node(host, network="back")
    reach(host, other, p["networks"][1]["addresses"][0])
    host.restart()
    assert pod_of(host)["networks"] == p["networks"]
    reach(host, other, p["networks"][1]["addresses"][0])
    reach(host, a, addresses(lo)[0])
    os.kill(pod_of(host)["holder_pid"], signal.SIGKILL)     # its shim: the namespace goes, and comes again
    eventually(lambda: host.status(a).get("restart_count", 0) >= 1 and host.state_of(a) == "running", "restarted around a new holder")
    assert pod_of(host)["networks"] == p["networks"]
    reach(host, other, p["networks"][1]["addresses"][0])
    for what, text in (("default:ip=" + p["networks"][0]["addresses"][0], "is pod p's"), ("back:ip=" + p["networks"][1]["addresses"][0], "is pod p's")):
        host.refused("run", "--network", what, "busybox", "true", text=text, code=125)
    host.refused("run", "-p", "8080:80", "busybox", "true", text="port 8080/tcp of the host is pod p's", code=125)
    host.refused("network", "rm", "back", text="network back is used by")
    host.berth("pod", "rm", "-f", "p")
    again, lease = node(host, network="back:ip=" + p["networks"][1]["addresses"][0])
    reach(host, other, lease[0]["addresses"][0])


@pytest.mark.native
@pytest.mark.parametrize("flags, text, code", [
    (("--network", "host", "--network", "default"), "exclude each other", 125), (("--network", "nowhere"), "there is no network 'nowhere'", 125),
    (("--network", "host", "-p", "80:80"), "without a network it has no ports", 125), (("--network", "default:ip=10.209.0.1"), "gateway", 125),
    (("--network", "default:port=7"), "is not NETWORK", 125)])
def test_bad_networks_of_a_pod_are_refused_and_leave_nothing(host, flags, text, code):
    host.refused("pod", "create", *flags, "p", text=text, code=None)
    assert host.berth("pod", "ls", "-q").lines == []


@pytest.mark.native
def test_members_publish_no_port_of_their_choice_by_a_pod(host):
    with host.api(host.token("shop")) as c:
        with pytest.raises(Exception, match="a port of the host of his choice"):
            c.request("pod_create", {"name": "m", "spec": {"networks": [{"network": "default"}], "ports": [{"host_port": 22, "container_port": 22}]}})
        c.request("pod_create", {"name": "m", "spec": {"networks": [{"network": "default"}], "ports": [{"container_port": 22}]}})
        c.request("container_create", {"name": "in", "start": True, "spec": {"image": "busybox", "pod": "m", "command": ["sleep", "100"]}})
