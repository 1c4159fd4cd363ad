"""Names where berth-dns cannot be asked: networks whose gateway is not on the host. Servers that answer there, and the others in /etc/hosts."""

import subprocess

import pytest

import test_names
from host import eventually
from test_names import image, kept, resolv, run     # noqa: F401 (image and resolv are fixtures)
from test_networks import node, sh


@pytest.fixture
def lan(host):
    """The name of a network on a bridge of the host."""
    sh("ip", "link", "add", "hbr0", "type", "bridge")
    sh("ip", "link", "set", "hbr0", "up")
    network(host, "lan", 94)
    yield "lan"
    host.remove_all()
    subprocess.run(["ip", "link", "del", "hbr0"], capture_output=True)


def network(host, name, number, *flags):
    host.berth("network", "create", "-d", "bridge", "-o", "parent=hbr0", "--subnet", "10.%d.0.0/24" % number, "--subnet", "fd00:%d::/64" % number, *flags, name)


def finds(host, who, what):
    """Of /etc/hosts glibc tells one address of a family."""
    return [x for database in ("ahostsv4", "ahostsv6") for x in test_names.finds(host, who, what, database)]


def lines(host, who, addresses):
    """Names in his /etc/hosts, of each of these addresses."""
    found = {x.split("\t")[0]: x.split()[1:] for x in kept(host, who, "/etc/hosts").splitlines()}
    return [found.get(x, []) for x in addresses]


def test_resolv_conf_names_servers_that_can_be_asked_there_and_no_gateway(host, lan, resolv):
    resolv.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch corp.example\n")
    network(host, "own", 95, "--dns", "192.0.2.99", "--dns-search", "own.example")
    a, b = node(host, network=lan)[0], node(host, network="own")[0]
    both = host.detached("--network", lan, "--network", "own", "--", "sleep", "1000")
    eventually(lambda: kept(host, a) == "search corp.example\nnameserver 192.0.2.53\n", lambda: kept(host, a))
    assert kept(host, b) == "search own.example\nnameserver 192.0.2.99\n" == kept(host, both)
    resolv.write_text("nameserver 192.0.2.54\n")
    eventually(lambda: kept(host, a) == "nameserver 192.0.2.54\n", lambda: kept(host, a))
    resolv.write_text("nameserver ::1\n")       # none that a container could ask
    eventually(lambda: kept(host, a).startswith("# no name server: the host asks its own loopback"), lambda: kept(host, a))
    host.berth("network", "connect", "default", a)      # and here is somebody to ask
    eventually(lambda: kept(host, a) == "search berth.internal\nnameserver 10.209.0.1\n", lambda: kept(host, a))
    host.berth("network", "disconnect", "default", a)
    eventually(lambda: "10.209.0.1" not in kept(host, a), lambda: kept(host, a))
    assert kept(host, b).endswith("nameserver 192.0.2.99\n")


@pytest.mark.native
def test_members_are_in_each_others_hosts_as_they_come_go_and_are_renamed(host, lan, image):
    a, la = run(host, image, network=lan)
    edited, _ = run(host, image, network=lan)
    host.berth("exec", edited, "sh", "-c", "echo '# mine' >> /etc/hosts")
    b, lb = run(host, image, None, "--network-alias", "db", "--hostname", "anna", network=lan)
    for name in (b, "db", "anna", b + ".lan.berth.internal", host.inspect(b)["meta"]["uuid"].replace("-", "")[:12]):
        eventually(lambda: finds(host, a, name) == lb, name)
    assert finds(host, b, a) == la, "who was there is known from the beginning"
    assert [x[0] for x in lines(host, a, lb)] == [b + ".lan.berth.internal"] * 2
    host.berth("rename", b, "other")
    eventually(lambda: finds(host, a, "other") == lb and not finds(host, a, b), "the new name, and not the old one")
    host.berth("network", "connect", "default", "other")
    assert finds(host, "other", a) == la, "asked for at the gateway now, of all networks"
    host.berth("stop", "-t", "0", "other")
    eventually(lambda: lines(host, a, lb) == [[], []], "it is gone")
    host.berth("start", "other")
    host.restart()
    eventually(lambda: finds(host, a, "other") == lb, "it is back")
    host.berth("network", "disconnect", "lan", "other")
    eventually(lambda: lines(host, a, lb) == [[], []], "it has left")
    assert host.berth("exec", edited, "cat", "/etc/hosts").out.endswith("# mine\n") and b not in host.berth("exec", edited, "cat", "/etc/hosts").out


@pytest.mark.native
def test_hosts_has_no_names_of_other_networks_and_of_other_projects(host, lan, image):
    network(host, "far", 96)
    network(host, "shared", 97, "--shared")
    lan = "shared"
    a, la = run(host, image, network=lan)
    far, _ = run(host, image, network="far")
    with host.api(host.token("shop")) as c:
        spec = {"image": image, "command": ["sleep", "1000"], "networks": [{"network": "shared"}]}
        uuid = c.request("container_create", {"name": "web", "start": True, "spec": spec})[0]["container"]["meta"]["uuid"]
    host.wait_state(uuid, "running")
    near, ln = run(host, image, network=lan)
    eventually(lambda: finds(host, a, near) == ln, "the one of its own")
    assert finds(host, a, far) == [] == finds(host, a, "web")
    assert a not in kept(host, uuid, "/etc/hosts") and near not in kept(host, uuid, "/etc/hosts")
