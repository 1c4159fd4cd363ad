"""Who holds interfaces: containers and pods; what comes and goes while they run; and attaching that fails."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import private_host
from host import BIN, SLOW, eventually
from test_spare import ready, standing_by
from test_networks import SERVER, addresses, ask, inside, net_pid, node, outside, pings, sh, table      # outside is a fixture

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
                for who in (b,) if ip == "::1" else (b, other):     # a datagram may be lost on a busy host
                    eventually(lambda: ask(ip, 80, kind, words(host, who)) != "nothing", "%s asked from %s" % (ip, who))
        found = [x["host_port"] for x in pod_of(host)["spec"]["ports"]]
        assert found[0] == 8080 and found[1] >= 61000
        for port, kind in ((8080, 1), (found[1], 2)):
            eventually(lambda: ask("192.0.2.1", port, kind, outside.words()) == "192.0.2.2", "what is published at %d" % port)
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
def test_interfaces_of_whose_shim_answers_the_next_berthd_late_stay(host):
    a, la = node(host)
    p = pod(host, "--network", "default")
    host.detached("--pod", "p", "--", "sleep", "1000")
    other, _ = node(host)
    theirs = [x["host_link"] for x in la + p["networks"]]
    there = lambda: [json.loads(sh("ip", "-j", "link", "show", x))[0]["ifindex"] for x in theirs]
    reach(host, other, *addresses(la), *p["networks"][0]["addresses"])
    before, shims = there(), (host.status(a)["shim_pid"], pod_of(host)["holder_pid"])
    for shim in shims:
        os.kill(shim, signal.SIGSTOP)
    try:
        host.restart()
        host.wait_state(a, "unknown")
        host.berth("network", "create", "--subnet", "10.97.0.0/24", "after")        # what is asked in order: so berth-net was told what should be
        assert there() == before
        reach(host, other, *addresses(la), *p["networks"][0]["addresses"])
    finally:
        for shim in shims:
            os.kill(shim, signal.SIGCONT)
    host.wait_state(a, "running")
    eventually(lambda: pod_of(host)["state"] == "ready", lambda: pod_of(host))
    assert there() == before
    reach(host, other, *addresses(la), *p["networks"][0]["addresses"])


@pytest.mark.native
@pytest.mark.parametrize("flags, text, code", [
    (("--network", "host", "--network", "default"), "exclude each other", 125), (("--network", "nowhere"), "there is no network 'nowhere'", 125),
    (("--network", "host", "-p", "80:80"), "with the host's network its ports are the host's", 125), (("--network", "default:ip=10.209.0.1"), "gateway", 125),
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


# ---------------------------------------------------------------- interfaces that come and go

@pytest.fixture
def nets(host):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--subnet", "fd00:86::/64", "red")
    host.berth("network", "create", "--subnet", "10.87.0.0/24", "blue")


def connect(host, network, who, *flags):
    return host.berth("network", "connect", *flags, network, who).text


def disconnect(host, what, who):
    return host.berth("network", "disconnect", what, who).text


def leases(host, name):
    return host.inspect(name).get("networks", [])


def links(host, name):
    """What the kernel has in the namespace: MAC and addresses by the interface's name."""
    out = json.loads(sh(*words(host, name), "ip", "-j", "addr"))
    return {x["ifname"]: (x["address"], {a["local"] for a in x["addr_info"] if a["scope"] == "global"}) for x in out if x["ifname"] != "lo"}


def wanted(leases):
    return {x["link"]: (x["mac"], set(x["addresses"])) for x in leases}


def routes(host, name):
    return [" ".join(l.split()) for l in sh(*words(host, name), "ip", "route").splitlines()]


def default_link(host, name, *family):
    out = json.loads(sh(*words(host, name), "ip", "-j", *family, "route", "show", "default"))
    return [x["dev"] for x in out]


def test_an_interface_comes_and_goes_while_a_connection_over_another_goes_on(host, nets):
    a, (first,) = node(host)
    red, lr = node(host, network="red")
    talk = inside(host, a, "import socket, sys\ns = socket.socket(); s.bind(('', 7)); s.listen(); print('up', flush=True)\n"
                  "c, _ = s.accept()\nwhile x := c.recv(99):\n c.sendall(x)\n")
    assert talk.stdout.readline() == "up\n"
    with socket.create_connection((first["addresses"][0], 7), 10) as c:
        for i in range(20):
            assert connect(host, "red", a) == "eth1"
            assert [x["network"] for x in host.inspect(a)["spec"]["networks"]] == ["default", "red"]
            now = leases(host, a)
            assert links(host, a) == wanted(now)
            reach(host, red, *now[1]["addresses"]) if i in (0, 19) else None
            c.sendall(b"%d" % i)
            assert c.recv(99) == b"%d" % i
            assert disconnect(host, "red", a) == "eth1"
            assert leases(host, a) == [first] and links(host, a) == wanted([first])
            assert default_link(host, a) == ["eth0"] and default_link(host, a, "-6") == ["eth0"]
    assert talk.wait(10) == 0
    assert now[1]["host_link"] not in table() and now[1]["host_link"] not in sh("ip", "-o", "link")


def test_tcp_udp_and_icmp_pass_over_an_interface_that_came_later_and_no_more_when_it_has_gone(host, nets):
    a, _ = node(host)
    red, lr = node(host, network="red")
    server = inside(host, red, SERVER)
    try:
        assert server.stdout.readline() == "up\n"
        for ip in addresses(lr):
            assert not pings(host, a, ip) and ask(ip, 80, 1, words(host, a)) == "nothing"
        connect(host, "red", a)
        for ip in addresses(lr):
            reach(host, a, ip)
            mine = [x for x in leases(host, a)[1]["addresses"] if (":" in x) == (":" in ip)]
            for kind in (1, 2):     # a datagram may be lost on a busy host
                eventually(lambda: ask(ip, 80, kind, words(host, a)) == mine[0], "%s asked over the new interface" % ip)
        disconnect(host, "eth1", a)
        for ip in addresses(lr):
            assert not pings(host, a, ip) and ask(ip, 80, 1, words(host, a)) == "nothing"
    finally:
        server.terminate()


@pytest.mark.native
def test_the_default_route_and_published_ports_move_to_the_next_network_and_names_are_the_lowest_free(host, nets):
    sh("ip", "link", "set", "lo", "up")
    a, (first,) = node(host, "-p", "8080:80")
    assert connect(host, "red", a, "--link", "wan", "--mac", "02:00:00:00:AA:01", "--ip", "10.86.0.77") == "wan"
    assert connect(host, "blue", a) == "eth1"
    assert disconnect(host, "default:eth0", a) == "eth0"
    assert default_link(host, a) == ["wan"] and default_link(host, a, "-6") == ["wan"]
    now = leases(host, a)
    assert [x["link"] for x in now] == ["wan", "eth1"] and now[0]["mac"] == "02:00:00:00:aa:01" and now[0]["addresses"][0] == "10.86.0.77"
    assert links(host, a) == wanted(now)
    server = inside(host, a, SERVER)
    try:
        assert server.stdout.readline() == "up\n"
        eventually(lambda: ask("127.0.0.1", 8080) not in ("nothing", ""), "what is published leads to the next")
    finally:
        server.terminate()
    assert connect(host, "default", a) == "eth0"
    assert default_link(host, a) == ["wan"]
    disconnect(host, "red", a)
    assert default_link(host, a) == ["eth1"] and default_link(host, a, "-6") == []      # blue has no IPv6
    for what in ("blue", "eth0"):
        disconnect(host, what, a)
    assert leases(host, a) == [] and links(host, a) == {} and host.inspect(a)["spec"]["network"] == "none"
    assert connect(host, "red", a) == "eth0" and default_link(host, a) == ["eth0"]


@pytest.mark.native
def test_what_was_connected_is_there_after_restart_stop_start_crash_and_kill_9_of_berthd(host, nets):
    for network in ("default", "none"):
        a = host.detached("--restart", "always", "--network", network, "--", "sleep", "1000")
        connect(host, "red", a, "--mac", "02:00:00:00:00:0%d" % len(host.list()))
        connect(host, "blue", a, "--link", "dmz0")
        want = leases(host, a)
        for change in (lambda: host.berth("restart", "-t", "0", a), host.restart, lambda: (host.berth("stop", "-t", "0", a), host.berth("start", a)),
                       lambda: os.kill(host.status(a)["pid"], signal.SIGKILL)):
            n = host.status(a).get("restart_count", 0)
            started = host.status(a)["started_at"]
            change()
            if change != host.restart:
                eventually(lambda: host.state_of(a) == "running" and host.status(a)["started_at"] != started, "started again")
            assert leases(host, a) == want and links(host, a) == wanted(want), n
        assert host.inspect(a)["spec"].get("network") is None


@pytest.mark.native
def test_containers_that_do_not_run_and_never_did_are_connected_too(host, nets):
    host.berth("create", "--name", "new", "busybox", "sleep", "1000")
    assert connect(host, "red", "new") == "eth0" and connect(host, "blue", "new") == "eth1"
    assert disconnect(host, "red", "new") == "eth0" and connect(host, "red", "new") == "eth0"
    host.berth("start", "new")
    assert [x["link"] for x in leases(host, "new")] == ["eth1", "eth0"] and links(host, "new") == wanted(leases(host, "new"))
    assert default_link(host, "new") == ["eth1"]
    host.berth("stop", "-t", "0", "new")
    disconnect(host, "blue", "new")
    connect(host, "default", "new", "--link", "up0")
    host.berth("start", "new")
    assert [x["link"] for x in leases(host, "new")] == ["eth0", "up0"] and links(host, "new") == wanted(leases(host, "new"))
    assert default_link(host, "new") == ["eth0"]


@pytest.mark.native
def test_one_that_waits_for_its_restart_is_connected_for_it(host, nets):
    a, _ = node(host, "--restart", "always", command=("sh", "-c", "test -e /sys/class/net/eth1 && exec sleep 1000; exit 1"))
    eventually(lambda: host.berth("network", "connect", "red", a, code=None).code == 0, "connected between two starts")
    eventually(lambda: host.state_of(a) == "running" and host.berth("exec", a, "cat", "/sys/class/net/eth1/address", code=None).code == 0,
               lambda: "started with both: %r" % host.status(a), 20)
    assert links(host, a) == wanted(leases(host, a))


@pytest.mark.native
def test_pods_are_connected_and_their_containers_are_not(host, nets):
    pod(host, "--network", "default")
    connect(host, "red", "p", "--link", "eth7")
    a = host.detached("--pod", "p", "--", "sleep", "1000")
    assert links(host, a) == wanted(pod_of(host)["networks"]) and "eth7" in links(host, a)
    assert connect(host, "blue", "p") == "eth1"
    assert links(host, a) == wanted(pod_of(host)["networks"])
    host.refused("network", "connect", "blue", a, text="is in pod p, and the interfaces are the pod's")
    host.restart()
    disconnect(host, "default", "p")
    assert links(host, a) == wanted(pod_of(host)["networks"]) and default_link(host, a) == ["eth7"]
    os.kill(pod_of(host)["holder_pid"], signal.SIGKILL)
    host.wait_state(a, "exited", "stopped", "backoff")
    host.berth("start", a)
    assert links(host, a) == wanted(pod_of(host)["networks"]) and set(links(host, a)) == {"eth7", "eth1"}
    pod(host, name="bare")      # no network at first
    b = host.detached("--pod", "bare", "--", "sleep", "1000")
    assert connect(host, "blue", "bare") == "eth0"
    reach(host, a, pod_of(host, "bare")["networks"][0]["addresses"][0])


@pytest.mark.native
def test_what_cannot_be_connected_is_refused_and_changes_nothing(host, nets):
    a, was = node(host, network="default:mac=02:00:00:00:00:01")
    for flags, text in ((("--link", "eth0"), "there is an interface eth0 already"), (("--link", "a/b"), "cannot be the name of an interface"),
                        (("--link", "lo"), "cannot be the name"), (("--link", "abcdefghijklmnop"), "cannot be the name"),
                        (("--mac", "02:00:00:00:00:01"), "is container %s's in network default" % a), (("--mac", "03:00:00:00:00:01"), "not the MAC of one machine"),
                        (("--mac", "00:00:00:00:00:00"), "not the MAC"), (("--mac", "2:0:0:0:0:1"), "not the MAC"), (("--ip", "10.209.0.1"), "gateway"),
                        (("--ip", was[0]["addresses"][0]), "is container %s's" % a), (("--ip", "10.209.1.1", "--ip", "10.209.1.2"), "one address of each family")):
        host.refused("network", "connect", *flags, "default", a, text=text, code=None)
    host.refused("network", "connect", "nowhere", a, text="there is no network 'nowhere'")
    host.refused("network", "connect", "red", "nobody", text='there is no container and no pod "nobody"')
    host.refused("network", "disconnect", "red", a, text="neither a network nor an interface 'red'")
    h = host.detached("--network", "host", "--", "sleep", "1000")
    host.refused("network", "connect", "red", h, text="it has the host's network")
    connect(host, "default", a)
    host.refused("network", "disconnect", "default", a, text="it has 2 interfaces in network default: say which")
    disconnect(host, "default:eth1", a)
    assert leases(host, a) == was and links(host, a) == wanted(was)
    host.refused("run", "--network", "default:link=x0", "--network", "red:link=x0", "busybox", "true", text="there is an interface x0 already", code=125)
    host.refused("run", "--network", "red:mac=02:00:00:00:00:07", "--network", "red:mac=02:00:00:00:00:07", "busybox", "true", text="asked for twice", code=125)
    b, lb = node(host, network="red:link=eth1", name="b")
    assert [x["link"] for x in lb] == ["eth1"]
    c = host.detached("--network", "red", "--network", "blue:link=eth0", "--", "sleep", "1000")
    assert [x["link"] for x in leases(host, c)] == ["eth1", "eth0"]


def test_answers_leave_by_the_interface_that_was_asked_also_of_several_in_one_network(host, nets, outside):
    host.berth("network", "create", "-d", "bridge", "--subnet", "10.89.0.0/24", "--subnet", "fd00:89::/64", "wire")
    others = {name: node(host, network=name)[0] for name in ("default", "red", "wire")}
    a, _ = node(host)
    for network in ("red", "default", "red", "wire", "wire", "default"):
        connect(host, network, a)

    def answers():
        for l in leases(host, a):
            reach(host, others[l["network"]], *l["addresses"])
            for ip in l["addresses"]:
                eventually(lambda: subprocess.run(["ping", "-c", "1", "-W", "2", ip], capture_output=True).returncode == 0, "%s from the host" % ip)
    answers()
    first, second = leases(host, a)[:2]
    host.berth("floating-ip", "pool-create", "--range", "192.0.2.96/27", "--link", "out0", "four")
    for l in (first, second):       # … and what comes from outside
        ip = host.berth("floating-ip", "allocate").text
        host.berth("floating-ip", "associate", ip, "%s:%s" % (a, l["link"]))
        eventually(lambda: outside.pings(ip), "%s leads to %s" % (ip, l["link"]))
    for what in ("default:eth0", "eth3", "eth4"):
        disconnect(host, what, a)
        answers()
    rules = sh(*words(host, a), "ip", "rule", "show", "pref", "1000").splitlines()      # … and none of those that have gone
    assert {x.split()[2] for x in rules} == {l["addresses"][0] for l in leases(host, a)}
    host.berth("restart", "-t", "0", a)
    answers()


@pytest.mark.native
def test_another_interface_comes_though_the_first_was_taken_down_by_whose_it_is(host, nets):
    a, _ = node(host, "--cap-add", "NET_ADMIN")
    other, _ = node(host, network="red")
    host.berth("exec", a, "ip", "link", "set", "eth0", "down")
    assert connect(host, "red", a) == "eth1"
    reach(host, a, *addresses(leases(host, other)))


@pytest.mark.native
def test_published_ports_never_lead_to_a_network_that_cannot_have_them(host, nets):
    sh("ip", "link", "add", "br0", "type", "bridge")
    try:
        host.berth("network", "create", "-d", "bridge", "-o", "parent=br0", "--subnet", "10.88.0.0/24", "wire")
        a, _ = node(host, "-p", "8080:80")
        connect(host, "wire", a)
        connect(host, "red", a)
        was = leases(host, a)
        why = "container %s has published ports, and eth1 would be its first interface: network wire has the driver bridge with a parent" % a
        host.refused("network", "disconnect", "default", a, text=why)
        assert leases(host, a) == was and links(host, a) == wanted(was)
        disconnect(host, "wire", a)
        disconnect(host, "default", a)      # to red they may move
        disconnect(host, "red", a)          # … and wait for the next one
        host.refused("network", "connect", "wire", a, text="eth0 would be its first interface: network wire has the driver bridge with a parent")
        assert leases(host, a) == [] and links(host, a) == {}
        connect(host, "blue", a)
        assert leases(host, a)[0]["addresses"][0] in table()
        host.remove_all()
    finally:
        sh("ip", "link", "del", "br0")


@pytest.mark.native
def test_connect_and_disconnect_refuse_a_stale_writer(host, nets):
    a, _ = node(host)
    p = pod(host, "--network", "default")
    for name, revision in ((a, lambda: host.inspect(a)["meta"]["revision"]), ("p", lambda: pod_of(host)["meta"]["revision"])):
        with host.client() as c:
            old = revision()
            c.request("network_connect", {"ref": name, "spec": {"network": "red"}}, if_revision=old)
            assert revision() != old
            for body, fields in (("network_connect", {"ref": name, "spec": {"network": "blue"}}), ("network_disconnect", {"ref": name, "network": "red"})):
                env, _ = c.answer(c.ask(body, fields, if_revision=old))
                assert env["error"]["code"] == "STALE" and "is at revision %d" % revision() in env["error"]["text"], env
            c.request("network_disconnect", {"ref": name, "network": "red"}, if_revision=revision())
    assert len(leases(host, a)) == len(pod_of(host)["networks"]) == len(p["networks"])


@pytest.mark.native
def test_many_interfaces_and_as_many_as_are_allowed(host):
    a, _ = node(host)
    for i in range(11):
        assert connect(host, "default", a) == "eth%d" % (i + 1)
    assert links(host, a) == wanted(leases(host, a)) and len(leases(host, a)) == 12


# ---------------------------------------------------------------- attaching that fails

@pytest.mark.native
def test_a_connect_that_the_kernel_refuses_is_taken_back(host, nets):
    a, was = node(host, "--cap-add", "NET_ADMIN")
    sh(*words(host, a), "ip", "link", "add", "eth1", "type", "bridge")      # its own, of the name that berth would give
    host.refused("network", "connect", "red", a, text="eth1")
    assert leases(host, a) == was and [x["network"] for x in host.inspect(a)["spec"]["networks"]] == ["default"]
    assert set(links(host, a)) == {"eth0", "eth1"}      # and the person's is not touched
    assert host.berth("network", "inspect", "red").json()[0].get("used_by", []) == []
    assert connect(host, "red", a, "--link", "eth2") == "eth2"
    host.restart()
    assert [x["link"] for x in leases(host, a)] == ["eth0", "eth2"]


@pytest.mark.native
def test_without_berth_net_starts_and_connects_fail_clearly_and_leave_nothing(tmp_path):
    (tmp_path / "conf").write_text("net_path = /bin/false\n")
    with private_host(options=["--config", str(tmp_path / "conf")]) as h:
        h.refused("run", "--network", "default", "busybox", "true", text="berth-net", code=125)
        assert h.list() == []
        plain = h.detached("sleep", "1000")
        h.refused("network", "connect", "default", plain, text="berth-net")
        assert h.inspect(plain).get("networks", []) == [] and h.state_of(plain) == "running"
        p = pod(h, "--network", "default")
        h.refused("run", "--pod", "p", "busybox", "true", text="the holder of pod p", code=125)
        h.berth("run", "--rm", "busybox", "true")      # others go on
        assert pod_of(h)["state"] == "failed"
        h.berth("pod", "rm", "-f", "p")


@pytest.mark.native
def test_a_call_that_kills_berth_net_each_time_fails_after_three_and_the_others_go_on(host, between):
    a, was = node(host)
    between.kill_at("boom0")
    for i in range(2):
        host.refused("network", "connect", "--link", "boom0", "default", a, text="berth-net", timeout=20)
        assert between.deaths() == 3 * (i + 1)
    waiting = host.popen("network", "connect", "--link", "boom0", "default", a)
    assert connect(host, "default", a, "--link", "fine0") == "fine0"
    assert waiting.wait(20) == 1 and between.deaths() == 9
    assert [x["link"] for x in leases(host, a)] == ["eth0", "fine0"] and links(host, a) == wanted(leases(host, a))
    b, _ = node(host)
    reach(host, a, *addresses(leases(host, b)))


@pytest.mark.native
def test_the_ends_of_many_are_with_berth_net_at_once(host, between):
    names = [node(host)[0] for _ in range(6)]
    between.keep()
    host.berth("rm", "-f", *names)
    eventually(lambda: between.seen().count("detach") == 6, lambda: "asked for, and none is answered: %r" % between.seen())
    between.answer()
    a, _ = node(host)
    b, _ = node(host)
    reach(host, a, *addresses(leases(host, b)))


@pytest.mark.native
def test_a_call_that_is_made_again_stays_before_those_behind_it(host, between):
    host.berth("rm", "-f", node(host)[0])
    host.berth("network", "create", "--subnet", "10.85.7.0/24", "barrier")      # behind the detach of that one
    host.berth("network", "rm", "barrier")
    between.fail_at("eth0")
    between.keep()
    run = host.popen("run", "-d", "--name", "x", "--network", "default", "busybox", "sleep", "1000")
    eventually(lambda: "attach" in between.seen(), "it is to be attached")
    host.berth("rm", "-f", "x")
    eventually(lambda: "detach" in between.seen(), lambda: "it has ended, and is not attached yet: %r" % between.seen())
    between.answer()
    eventually(lambda: between.seen().count("detach") == 2, lambda: "both once more: %r" % between.seen())
    assert [k for k in between.seen() if k != "other"] == ["attach", "detach", "state", "attach", "detach"]
    assert run.wait(20) != 0


@pytest.fixture
def own_net(host, tmp_path):
    """A berth-net that no other berthd starts, and one of the test's can be kept from starting."""
    settings, program = host.options[host.options.index("--config") + 1], shutil.copy(os.path.join(BIN, "berth-net"), tmp_path)
    with open(settings) as f:
        before = f.read()

    def restart(text):
        with open(settings, "w") as f:
            f.write(text)
        host.restart()
    restart(before + "net_path = %s\n" % program)
    yield program
    restart(before)


@pytest.mark.parametrize("ends", [False, True])
def test_what_berth_net_could_not_take_out_is_nobody_elses_and_goes_later(host, own_net, nets, ends):
    a, _ = node(host)
    connect(host, "red", a, "--ip", "10.86.0.7")
    try:
        os.chmod(own_net, 0o644)        # no other one can be started
        os.kill(net_pid(host), signal.SIGKILL)
        host.refused("network", "disconnect", "red", a, text="eth1 is there still, and will be taken out")
        assert set(links(host, a)) == {"eth0", "eth1"} and leases(host, a)[1]["leaving"]
        host.refused("run", "--network", "red:ip=10.86.0.7", "busybox", "true", text="10.86.0.7 is container %s's" % a, code=125)
        if ends:
            host.berth("stop", "-t", "0", a)
            eventually(lambda: [x["link"] for x in leases(host, a)] == ["eth0"], lambda: "gone with its holder: %r" % leases(host, a))
    finally:
        os.chmod(own_net, 0o755)
    eventually(lambda: [x["link"] for x in leases(host, a)] == ["eth0"], lambda: "it goes: %r" % leases(host, a))
    assert ends or set(links(host, a)) == {"eth0"}
    b, _ = node(host, network="red:ip=10.86.0.7")
    reach(host, b, "10.86.0.1")


# ---------------------------------------------------------------- killed in the middle of it

@pytest.mark.native
@pytest.mark.parametrize("who", ["berthd", "berth-net"])
def test_what_the_row_says_is_what_the_kernel_has_after_kill_9_during_connect_and_disconnect(host, nets, who):
    """An asker that heard nothing may ask again; whether it was done or not, both sides agree, and the first interface was never touched."""
    a, (first,) = node(host)
    with socket.create_server(("", 0)) as server:
        talk = inside(host, a, "import socket\ns = socket.create_connection(('10.209.0.1', %d))\nwhile x := s.recv(9): s.sendall(x)\n" % server.getsockname()[1])
        c, _ = server.accept()
    with c:
        for i in range(8):
            verb = ("connect", "disconnect")[i % 2]
            p = host.popen("network", verb, "red", a)
            time.sleep(i // 2 * 0.004)      # at another step each time
            if who == "berthd":
                host.restart()
            else:
                sh("sh", "-c", "pkill -9 -x -P %d berth-net || true" % host.daemon.pid)
            p.communicate(timeout=60)
            eventually(lambda: not [x for x in leases(host, a) if x.get("coming") or x.get("leaving")], "settled")
            eventually(lambda: links(host, a) == wanted(leases(host, a)), lambda: "%s, round %d: %r but %r" % (verb, i, links(host, a), leases(host, a)))
            assert leases(host, a)[0] == first and default_link(host, a) == ["eth0"]
            asks = [x["network"] for x in host.inspect(a)["spec"]["networks"]]
            assert asks == [x["network"] for x in leases(host, a)]
            if p.returncode == 0:       # what was acknowledged is so
                assert len(asks) == 2 - i % 2
            elif len(asks) != 2 - i % 2:
                host.berth("network", verb, "red", a)
        c.settimeout(20)
        c.sendall(b"still")
        assert c.recv(9) == b"still"
    assert talk.wait(20) == 0


@pytest.mark.native
def test_a_connect_to_one_that_ends_before_berthd_hears_of_it_is_made_with_the_next_start(host, nets):
    a, _ = node(host)
    pid, shim, net = host.status(a)["pid"], host.status(a)["shim_pid"], net_pid(host)
    os.kill(net, signal.SIGSTOP)
    with host.client() as c:
        asked = c.ask("network_connect", {"ref": a, "spec": {"network": "red"}})
        eventually(lambda: len(leases(host, a)) == 2, "it is begun")
        host.berth("volume", "create", "after")     # what is stored in order: so the row before is, and berth-net is asked
        os.kill(shim, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        os.kill(net, signal.SIGCONT)
        env, _ = c.answer(asked)
        os.kill(shim, signal.SIGCONT)
    assert env.get("done", {}).get("text") == "eth1", env
    host.wait_state(a, "exited", "stopped")
    host.berth("start", a)
    assert links(host, a) == wanted(leases(host, a)) and len(leases(host, a)) == 2


@pytest.mark.native
def test_an_attach_that_was_pending_when_the_container_ended_is_forgotten_by_the_next_start(host):
    """berth-net stands still while the program's process dies, and its shim stays: the next start waits for its own attach alone."""
    node(host)      # so that there is a berth-net
    pid = net_pid(host)
    a = host.detached("--restart", "always", "--network", "none", "--", "sh", "-c", "test -e /sys/class/net/eth0 && exec sleep 1000; exit 1")

    def held(but=0):
        status = host.status(a)
        return status["state"].endswith("STARTING") and status.get("pid", 0) not in (0, but) and status["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: host.berth("network", "connect", "default", a, code=None).code == 0, "connected between two starts")
        first = eventually(held, lambda: "held for its interface: %r" % host.status(a), 30)
        os.kill(first, signal.SIGKILL)
        second = eventually(lambda: held(first), lambda: "begun anew, and held again: %r" % host.status(a), 30)
    finally:
        os.kill(pid, signal.SIGCONT)
    host.wait_state(a, "running")
    assert host.status(a)["pid"] == second and links(host, a) == wanted(leases(host, a))


@pytest.mark.native
def test_restarted_between_its_release_and_its_program_it_finds_interfaces_again(host):
    """The namespace that they were in went with the launch that came to nothing."""
    node(host)      # so that there is a berth-net
    pid, name = net_pid(host), host.name()
    uuid = host.berth("create", "--name", name, "--network", "default", "busybox", "sh", "-c", "test -e /sys/class/net/eth0 && exec sleep 1000").text
    group = "%s/shared/%s/%s.1" % (host.cgroup_dir, uuid, uuid)
    os.kill(pid, signal.SIGSTOP)
    try:
        tool = host.popen("start", name)
        eventually(lambda: host.status(name).get("pid"), "held for its interface")
        with open(group + "/cgroup.freeze", "w") as f:
            f.write("1")
        eventually(lambda: "frozen 1" in open(group + "/cgroup.events").read(), "it does not go on")
    finally:
        os.kill(pid, signal.SIGCONT)
    host.berth("network", "create", "--subnet", "10.88.7.0/24", "behind")       # what berth-net is asked behind that is done
    assert host.state_of(name) == "starting"
    host.berth("restart", "-t", "0", name)
    tool.wait(30 * SLOW)
    host.wait_state(name, "running")
    assert links(host, name) == wanted(leases(host, name))
    host.berth("network", "rm", "behind")


@pytest.mark.native
def test_who_is_to_be_held_is_not_begun_by_the_berthd_that_makes_its_interfaces_after_a_crash(host):
    node(host)      # so that there is a berth-net
    os.kill(net_pid(host), signal.SIGSTOP)
    with host.client() as c:
        c.ask("container_create", {"name": "held", "spec": {"image": "busybox", "command": ["sh", "-c", "echo ran"], "networks": [{"network": "default"}], "hold_before_exec": True}})
        eventually(lambda: any(x["meta"]["name"] == "held" for x in host.list()) and host.status("held").get("pid"), "its process")
        host.settled()
        host.restart()      # the next one has a berth-net of its own
    s = host.wait_state("held", "created", "exited")
    assert s["state"] == "CONTAINER_STATE_CREATED" and s["pid"] and host.berth("logs", "held").out == ""
    assert "eth0" in links(host, "held")
    host.berth("start", "held")
    host.wait_state("held", "exited")
    assert host.berth("logs", "held").out == "ran\n"


# ---------------------------------------------------------------- beside the launch

@pytest.fixture
def alone():
    """Its spares are all of containers with the network `default`, of which one has been there."""
    with private_host(before=["unshare", "--net"]) as host:
        ready(host, "--rm", "--network", "default")
        yield host


def slow_start(host, *flags):
    """A start that goes on with a process that stands by, which comes no further: the tool, the container, and the process."""
    began = standing_by(host, ready(host, "--rm", "--network", "default"))
    for pid in began.values():
        os.kill(pid, signal.SIGSTOP)
    name = host.name()
    tool = host.popen("run", "-d", "--rm", "--name", name, "--network", "default", *flags, "busybox", "sh", "-c", "test -e /sys/class/net/eth0 && exec sleep 1000")
    box = eventually(lambda: next((host.inspect(c["meta"]["uuid"]) for c in host.list() if c["meta"]["name"] == name), None), "it is there")
    mine = began.pop(box["meta"]["uuid"])
    for pid in began.values():
        os.kill(pid, signal.SIGCONT)
    return tool, box, mine


def has_route(host, address):
    return address + " " in sh(*NETNS, str(host.daemon.pid), "ip", "route")


def test_interfaces_are_made_beside_the_launch_and_the_program_begins_when_both_are_there(alone):
    tool, box, pid = slow_start(alone)
    try:
        eventually(lambda: has_route(alone, addresses(box["networks"])[0]), "its interface")
        assert alone.state_of(box["meta"]["uuid"]) == "starting"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert tool.wait(30 * SLOW) == 0, tool.stderr.read()
    status = alone.status(box["meta"]["uuid"])
    assert status["pid"] == pid and status["state"].endswith("RUNNING")
    # And the other way round: whoever is there first waits for the other.
    began = standing_by(alone, ready(alone, "--rm", "--network", "default"))
    net = net_pid(alone)
    os.kill(net, signal.SIGSTOP)
    try:
        name = alone.name()
        tool = alone.popen("run", "-d", "--rm", "--name", name, "--network", "default", "busybox", "sh", "-c", "test -e /sys/class/net/eth0 && exec sleep 1000")
        pid = eventually(lambda: next((x["status"].get("pid") for x in map(lambda c: alone.inspect(c["meta"]["uuid"]), alone.list()) if x["meta"]["name"] == name), None), "its process")
        assert pid in began.values() and alone.state_of(name) == "starting"
    finally:
        os.kill(net, signal.SIGCONT)
    assert tool.wait(30 * SLOW) == 0, tool.stderr.read()
    assert alone.status(name)["pid"] == pid


@pytest.mark.native
@pytest.mark.parametrize("how", ["the launch fails", "its process dies", "it is removed", "berthd dies", "berth-net dies"])
def test_a_launch_beside_which_interfaces_are_made_leaves_nothing_when_it_ends(alone, how):
    tool, box, pid = slow_start(alone, *(["--user", "nosuch"] if how == "the launch fails" else []))
    uuid, address = box["meta"]["uuid"], addresses(box["networks"])[0]
    eventually(lambda: has_route(alone, address), "its interface")
    if how == "berthd dies":
        eventually(lambda: not alone.ask("info").get("store_queue"), "its row is on the disk")      # else nobody would know of it
        alone.restart()
    if how == "berth-net dies":
        os.kill(net_pid(alone), signal.SIGKILL)
    if how == "it is removed":
        gone = alone.popen("rm", "-f", uuid)
    with contextlib.suppress(ProcessLookupError):       # the removal may have been quicker
        os.kill(pid, signal.SIGKILL if how == "its process dies" else signal.SIGCONT)
    tool.wait(30 * SLOW)
    if how in ("berthd dies", "berth-net dies"):
        assert tool.returncode == 0, tool.stderr.read()
        assert alone.wait_state(uuid, "running")["pid"] == pid
        alone.berth("rm", "-f", uuid)
    elif how == "it is removed":
        assert gone.wait(30 * SLOW) == 0
    else:
        assert ("nosuch" if how == "the launch fails" else "died in step") in tool.stderr.read().decode()
    eventually(lambda: not has_route(alone, address), "nothing of it")
    eventually(lambda: "bt" not in re.sub("|".join(alone.ask("info").get("network_slots", ["-"])), "", sh(*NETNS, str(alone.daemon.pid), "ip", "-o", "link")), "nor its link")
    assert alone.berth("run", "--rm", "--network", "default", "busybox", "ip", "route").text.startswith("default via")


@pytest.mark.native
def test_a_disconnect_is_done_though_the_container_ends_before_its_other_interface_is_the_first(host, nets, between):
    a = host.detached("--network", "red", "--network", "blue", "--", "sleep", "1000")
    between.hold_at("eth1")
    asked = host.popen("network", "disconnect", "red", a)
    eventually(between.holds, "red has gone, and blue is to be the first")
    status = host.status(a)
    os.kill(status["shim_pid"], signal.SIGSTOP)     # nobody hears of the end yet
    try:
        os.kill(status["pid"], signal.SIGKILL)
        eventually(lambda: not os.path.exists("/proc/%d/ns/net" % status["pid"]), "it has ended")
        between.go_on()
        assert asked.wait(20) == 0, asked.stderr.read()
    finally:
        os.kill(status["shim_pid"], signal.SIGCONT)
    host.wait_state(a, "exited")
    host.berth("start", a)
    assert [x["network"] for x in leases(host, a)] == ["blue"]
    assert "default via" in host.berth("exec", a, "ip", "route").out
