"""Networks, seen by what passes and what does not: between containers, the host, and a namespace outside that the test makes."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import private_host
from host import eventually


def sh(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


class Outside:
    """Another machine, on a wire to the host: 192.0.2.2 and 2001:db8::2; the host is .1 and ::1. It knows no way to the containers."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        mine = os.readlink("/proc/self/ns/net")
        sh("ip", "link", "set", "lo", "up")
        eventually(lambda: os.readlink("/proc/%d/ns/net" % self.process.pid) != mine, "a namespace of its own")
        sh("ip", "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", str(self.process.pid))
        sh("ip", "addr", "add", "192.0.2.1/24", "dev", "out0")
        sh("ip", "addr", "add", "2001:db8::1/64", "dev", "out0", "nodad")
        sh("ip", "link", "set", "out0", "addrgenmode", "none")      # and no second of waiting for a link-local address
        sh("ip", "addr", "add", "fe80::a/64", "dev", "out0", "nodad")
        sh("ip", "link", "set", "out0", "up")
        self.do("ip", "link", "set", "lo", "up")
        self.do("ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
        self.do("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
        self.do("ip", "link", "set", "eth0", "up")
        self.servers = []

    def words(self, *words):
        return ["nsenter", "-t", str(self.process.pid), "-n", *words]

    def do(self, *words):
        return sh(*self.words(*words))

    def ways(self, *subnets):
        for s in subnets:
            self.do("ip", "route", "add", s, "via", "2001:db8::1" if ":" in s else "192.0.2.1")

    def pings(self, address):
        return subprocess.run(self.words("ping", "-c", "1", "-W", "1", address), capture_output=True).returncode == 0

    def end(self):
        self.process.kill()
        self.process.wait()
        subprocess.run(["ip", "link", "del", "out0"], capture_output=True)


@pytest.fixture
def outside():
    o = Outside()
    yield o
    o.end()


def node(host, *flags, network="default", command=("sleep", "1000"), name=None):
    name = host.detached("--network", network, *flags, "--", *command, name=name)
    return name, host.inspect(name)["networks"]


def addresses(leases):
    """IPv4 and IPv6 of the first interface."""
    return leases[0]["addresses"]


def pings(host, name, address):
    return host.berth("exec", name, "ping", "-c", "1", "-W", "1", address, code=None).code == 0


def table():
    return sh("nft", "list", "table", "inet", "berth")


# ---------------------------------------------------------------- the network that is always there

@pytest.mark.native
def test_default_network_is_there_shared_and_cannot_be_removed(host):
    n, = host.berth("network", "ls", "-f", "driver=routed", "--format", "json").json()
    assert n["meta"]["name"] == "default" and n["driver"] == "routed" and n["shared"]
    assert n["subnets"][0]["cidr"] == "10.209.0.0/16" and n["subnets"][1]["cidr"].startswith("fd")
    host.refused("network", "rm", "default", text="always there")
    host.restart()
    again, = host.berth("network", "ls", "-f", "driver=routed", "--format", "json").json()
    assert again["meta"]["uuid"] == n["meta"]["uuid"] and again["subnets"] == n["subnets"]


def test_container_reaches_container_host_and_outside_on_v4_and_v6(host, outside):
    a, la = node(host)
    b, lb = node(host)
    for mine, other in zip(addresses(la), addresses(lb)):
        assert pings(host, a, other) and pings(host, b, mine)
        assert subprocess.run(["ping", "-c", "1", "-W", "1", other], capture_output=True).returncode == 0
    for address in ("192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"):
        eventually(lambda: pings(host, a, address), address)     # outside, IPv6 is not ready in its first second


def inside(host, name, program, **kw):
    """A Python program in the container's network namespace: the test image has none."""
    return subprocess.Popen(["nsenter", "-t", str(host.status(name)["pid"]), "-n", "timeout", "300", "python3", "-c", program], text=True,
                            stdout=subprocess.PIPE, **kw)


@pytest.mark.native
def test_tcp_and_udp_between_containers_on_v4_and_v6(host):
    a, la = node(host)
    b, _ = node(host)
    server = inside(host, a, "import socket\nt, u = (socket.socket(socket.AF_INET6, k) for k in (1, 2))\n"
                    "t.bind(('::', 7)); u.bind(('::', 7)); t.listen(); print('up', flush=True)\n"
                    "for i in range(2):\n c, _ = t.accept(); c.sendall(c.recv(9)); c.close()\n"
                    " x, who = u.recvfrom(9); u.sendto(x, who)\n")
    assert server.stdout.readline() == "up\n"
    for address in addresses(la):
        out, _ = inside(host, b, "import socket, sys\nfor k in (1, 2):\n s = socket.socket(socket.AF_INET6 if ':' in '%s' else socket.AF_INET, k)\n"
                        " s.settimeout(5); s.connect(('%s', 7)); s.send(b'hello'); print(s.recv(9))\n" % (address, address)).communicate()
        assert out == "b'hello'\n" * 2, address
    assert server.wait(10) == 0


def test_what_leaves_has_the_hosts_address_and_nothing_comes_in_unasked(host, outside):
    a, la = node(host)
    four, six = addresses(la)
    with subprocess.Popen(outside.words("timeout", "300", "python3", "-c", "import socket\ns = socket.socket(socket.AF_INET6)\n"
                                        "s.bind(('::', 99))\ns.listen()\nprint('up', flush=True)\n"
                                        "for i in range(2):\n c, who = s.accept()\n print(who[0], flush=True)\n c.close()\n"),
                          stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "up\n"
        host.berth("exec", a, "nc", "-w", "2", "192.0.2.2", "99", code=None)
        assert p.stdout.readline().strip() == "::ffff:192.0.2.1"
        host.berth("exec", a, "nc", "-w", "2", "2001:db8::2", "99", code=None)
        assert p.stdout.readline().strip() == "2001:db8::1"
    outside.ways("10.209.0.0/16", "fd00::/8")
    assert not outside.pings(four) and not outside.pings(six)


@pytest.mark.native
def test_interface_addresses_mac_routes_hosts_and_resolv_conf_are_those_of_the_lease(host):
    a, (lease,) = node(host, "--hostname", "anna")
    four, six = lease["addresses"]
    link = json.loads(sh("nsenter", "-t", str(host.status(a)["pid"]), "-n", "ip", "-j", "addr", "show", "eth0"))[0]
    assert link["address"] == lease["mac"] and "UP" in link["flags"] and lease["link"] == "eth0"
    assert {x["local"] for x in link["addr_info"] if x["scope"] == "global"} == {four, six}
    assert "default via 10.209.0.1 dev eth0" in host.berth("exec", a, "ip", "route").out
    hosts = host.berth("exec", a, "cat", "/etc/hosts").lines
    assert four + "\tanna" in hosts and six + "\tanna" in hosts
    assert "127." not in host.berth("exec", a, "cat", "/etc/resolv.conf").out


def test_an_interface_adds_a_route_and_a_neighbour_of_each_family_to_the_hosts_and_no_address(host):
    """The kernel walks through the host's IPv6 routes and addresses whenever a link comes or goes: more of them, and beside thousands an attach takes
    ten times as long."""
    a, (lease,) = node(host)
    b, _ = node(host)
    link = lease["host_link"]
    assert json.loads(sh("ip", "-j", "addr", "show", link))[0]["addr_info"] == []
    on_it = lambda *words: [x["dst"] for x in json.loads(sh("ip", "-j", *words, "dev", link))]
    four, six = lease["addresses"]
    assert on_it("-4", "route", "show", "table", "all") == [four]
    # What is sent to all on the link has a route of its own where the link is not dormant.
    assert on_it("-6", "route", "show", "table", "all") == [six]
    seen = json.loads(sh("ip", "-j", "neigh", "show", "dev", link, "nud", "permanent"))
    assert sorted((x["dst"], x["lladdr"]) for x in seen) == sorted((x, lease["mac"]) for x in (four, six))
    for other in lease["addresses"]:
        eventually(lambda: pings(host, b, other), "from another")
        eventually(lambda: subprocess.run(["ping", "-c", "1", "-W", "1", other], capture_output=True).returncode == 0, "from the host")
    assert json.loads(sh("ip", "-j", "link", "show", link))[0]["mtu"] == 1500
    # The host asks nobody for it, and nobody asks for the gateway: nothing has come to be known meanwhile.
    assert [x["dst"] for x in json.loads(sh("ip", "-6", "-j", "neigh", "show", "dev", link))] == [six]


# ---------------------------------------------------------------- leases

def test_address_and_mac_stay_over_restart_stop_start_and_kill_9_of_berthd(host):
    a, lease = node(host, "--restart", "always")
    b, lb = node(host)
    host.berth("restart", "-t", "0", a)
    assert host.inspect(a)["networks"] == lease and pings(host, a, addresses(lb)[0])
    host.berth("stop", "-t", "0", a)
    eventually(lambda: " %s@" % lease[0]["host_link"] not in sh("ip", "-o", "link"), "its link is gone")
    assert lease[0]["host_link"] not in table()
    host.berth("start", a)
    host.restart()
    assert host.inspect(a)["networks"] == lease and pings(host, a, addresses(lb)[1]) and pings(host, b, addresses(lease)[1])
    os.kill(host.status(a)["pid"], signal.SIGKILL)
    eventually(lambda: host.status(a).get("restart_count") == 1 and host.state_of(a) == "running", "restarted")
    assert host.inspect(a)["networks"] == lease and pings(host, a, addresses(lb)[0])
    c, lc = node(host)
    assert pings(host, c, addresses(lease)[0]) and not set(addresses(lc)) & {*addresses(lease), *addresses(lb)}


@pytest.mark.native
def test_fixed_addresses_are_given_refused_when_taken_and_free_again_after_rm(host):
    a, lease = node(host, network="default:ip=10.209.7.7")
    assert addresses(lease)[0] == "10.209.7.7" and addresses(lease)[1].startswith("fd")
    host.refused("run", "--network", "default:ip=10.209.7.7", "busybox", "true", text="10.209.7.7 is container %s's" % a, code=125)
    for bad, why in (("10.209.0.1", "gateway"), ("10.209.0.0", "cannot be had"), ("10.209.255.255", "cannot be had"), ("10.1.1.1", "cannot be had"),
                     ("fe80::1", "cannot be had"), ("one", "not an IP address")):
        host.refused("run", "--network", "default:ip=" + bad, "busybox", "true", text=why, code=125)
    host.berth("rm", "-f", a)
    assert addresses(node(host, network="default:ip=10.209.7.7")[1])[0] == "10.209.7.7"


@pytest.mark.native
def test_a_full_subnet_refuses_and_addresses_are_never_given_twice_at_once(host):
    host.berth("network", "create", "--subnet", "10.77.0.0/28", "small")
    started = [host.popen("run", "-d", "--network", "small", "busybox", "sleep", "1000") for _ in range(16)]
    codes = []
    for p in started:
        p.communicate(timeout=60)
        codes.append(p.returncode)
    given = [a for c in host.list() for a in host.inspect(c["meta"]["uuid"])["networks"][0]["addresses"]]
    assert sorted(codes) == [0] * 13 + [125] * 3 and len(set(given)) == 13
    host.refused("run", "--network", "small", "busybox", "true", text="every address of 10.77.0.0/28 of network small is taken", code=125)


# ---------------------------------------------------------------- networks of one's own

def test_networks_are_isolated_from_each_other_and_overlaps_are_refused(host):
    host.berth("network", "create", "--subnet", "10.78.0.0/24", "--subnet", "fd00:78::/64", "red")
    host.berth("network", "create", "--subnet", "10.79.0.0/24", "--gateway", "10.79.0.254", "blue")
    host.refused("network", "create", "--subnet", "10.78.0.0/16", "green", text="10.78.0.0/16 overlaps with 10.78.0.0/24 of network red")
    host.refused("network", "create", "--subnet", "10.80.0.0/24", "red", text="there is a network red")
    r1, l1 = node(host, network="red")
    r2, l2 = node(host, network="red")
    b, lb = node(host, network="blue")
    d, ld = node(host)
    assert pings(host, r1, addresses(l2)[0]) and pings(host, r1, addresses(l2)[1])
    for name, there in ((r1, lb), (b, l1), (d, l1), (r1, ld)):
        assert not pings(host, name, addresses(there)[0])
    assert "via 10.79.0.254" in host.berth("exec", b, "ip", "route").out
    host.refused("network", "rm", "red", text="network red is used by container " + r1)
    used = host.berth("network", "inspect", "red").json()[0]["used_by"]
    assert sorted(used) == sorted(host.inspect(x)["meta"]["uuid"] for x in (r1, r2))


@pytest.mark.native
def test_a_container_of_two_networks_has_two_interfaces_and_routes_for_the_first(host):
    host.berth("network", "create", "--subnet", "10.81.0.0/24", "back")
    name = host.detached("--network", "default", "--network", "back", "--", "sleep", "1000")
    other, lo = node(host, network="back")
    leases = host.inspect(name)["networks"]
    assert [x["link"] for x in leases] == ["eth0", "eth1"]
    assert "default via 10.209.0.1 dev eth0" in host.berth("exec", name, "ip", "route").out
    assert pings(host, other, addresses(leases[1:])[0])


@pytest.mark.native
@pytest.mark.parametrize("subnet, text", [
    ("10.0.0.0", "is not a subnet"), ("10.0.0.1/24", "bits behind its prefix"), ("10.0.0.0/31", "/8 to /30"), ("127.0.0.0/16", "mean something else"),
    ("fd00::/48", "/64 to /126"), ("fe80::/64", "mean something else"), ("224.0.0.0/24", "mean something else"), ("10.0.0.0/33", "is not a subnet")])
def test_bad_subnets_are_refused_by_their_flag(host, subnet, text):
    host.refused("network", "create", "--subnet", subnet, "bad", text="--subnet " + re.escape(subnet) + ": .*" + text, code=2)


@pytest.mark.native
@pytest.mark.parametrize("driver", ["routed", "bridge"])
def test_what_the_host_itself_has_is_not_given_to_a_network_and_not_taken_from_it(host, outside, driver):
    def create(*subnets, **kw):
        return (host.refused if kw else host.berth)("network", "create", "-d", driver, *sum((["--subnet", s] for s in subnets), []), "mine", **kw)
    host.berth("network", "create", "--subnet", "10.83.0.0/24", "earlier")      # so berth-net has made all there is
    sh("ip", "route", "add", "10.84.0.0/16", "via", "192.0.2.2")
    sh("ip", "route", "add", "fd00:84::/64", "via", "2001:db8::2")
    sh("ip", "route", "add", "10.88.0.0/16", "nexthop", "via", "192.0.2.2", "nexthop", "via", "192.0.2.3")      # by several ways at once
    sh("ip", "route", "add", "fd00:88::/64", "nexthop", "via", "2001:db8::2", "nexthop", "via", "2001:db8::3")

    def of_the_host():
        """And not what berth's networks of before are just leaving."""
        return [x for x in (sh("ip", "route") + sh("ip", "-6", "route") + sh("ip", "-br", "addr")).splitlines() if not re.search(r"proto 19[01]|\bberth0|^b[tf]\d|dev b[tf]\d", x)]
    before = of_the_host()
    for subnet in ("192.0.2.0/24", "192.0.2.128/25", "192.0.0.0/16", "2001:db8::/64", "2001:db8::/120", "10.84.0.0/16", "fd00:84::/64",
                   "10.88.0.0/16", "fd00:88::/64"):
        create("10.85.0.0/24" if ":" in subnet else "fd00:85::/64", subnet, text=re.escape(subnet) + " overlaps with .*, which the host itself has on out0")
    eventually(lambda: of_the_host() == before, lambda: "as it was: %s, %s" % (of_the_host(), before))
    assert outside.pings("192.0.2.1")
    create("10.84.7.0/24")      # a part of what is far away
    name, leases = node(host, network="mine")
    eventually(lambda: pings(host, name, "10.84.7.1"), "the gateway")
    assert "10.84.0.0/16 via 192.0.2.2" in sh("ip", "route")
    host.berth("rm", "-f", name)
    host.berth("network", "rm", "mine", "earlier")
    eventually(lambda: "10.84.7" not in sh("ip", "route") + sh("ip", "addr"), "it is gone")
    assert sh("ip", "route", "show", "via", "192.0.2.2") == "10.84.0.0/16 dev out0 \n"


@pytest.mark.native
def test_a_default_network_that_is_the_hosts_own_wire_is_warned_of_and_takes_nothing(outside, tmp_path):
    """On the machine outside: two berth-nets in one network namespace would fight for the table."""
    config = tmp_path / "berthd.conf"
    config.write_text("default_subnet = 192.0.2.0/24\nresolv_conf = /dev/null\n")
    with private_host(options=["--config", str(config)], before=outside.words()) as host:
        host.run_("--network", "default:ip=192.0.2.77", "--", "true")
        eventually(lambda: "192.0.2.0/24 overlaps with 192.0.2.0/24, which the host itself has on eth0" in host.log(), "it is said")
        assert outside.pings("192.0.2.1") and "192.0.2.0/24 dev eth0" in outside.do("ip", "route")


@pytest.mark.native
def test_a_route_that_the_host_gets_later_is_neither_replaced_nor_removed(host, outside):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "mine")
    sh("ip", "route", "add", "10.86.0.0/24", "via", "192.0.2.2")
    sh("nft", "flush", "ruleset")       # all is made once more
    eventually(lambda: "table inet berth\n" in sh("nft", "list", "tables"), "it is")
    name, leases = node(host, network="mine")
    assert "10.86.0.0/24 via 192.0.2.2" in sh("ip", "route")
    host.berth("rm", "-f", name)
    host.berth("network", "rm", "mine")
    eventually(lambda: "10.86.0.1" not in sh("ip", "addr"), "it is gone")
    assert "10.86.0.0/24 via 192.0.2.2" in sh("ip", "route")


@pytest.mark.native
def test_routes_and_addresses_of_networks_that_are_no_more_go_with_the_next_state(host):
    host.run_("--network", "default", "--", "true")
    sh("ip", "route", "add", "unreachable", "10.87.0.0/24", "proto", "191", "metric", "2147483647")
    sh("ip", "-6", "route", "add", "unreachable", "fd00:87::/64", "proto", "191", "metric", "2147483647")
    for metric in ("7", "9"):      # as an earlier one made them
        sh("ip", "route", "add", "unreachable", "10.87.1.0/24", "proto", "191", "metric", metric)
    sh("ip", "route", "add", "unreachable", "10.209.0.0/16", "proto", "191", "metric", "7")
    sh("ip", "addr", "add", "10.87.0.1/32", "dev", "berth0")
    sh("ip", "addr", "add", "fd00:87::1/128", "dev", "berth0", "nodad")
    host.restart()
    host.run_("--network", "default", "--", "true")
    text = sh("ip", "route") + sh("ip", "-6", "route") + sh("ip", "addr")
    assert "10.87." not in text and "metric 7" not in text and "fd00:87:" not in text and "10.209.0.1/32" in text and "unreachable 10.209.0.0/16" in text


ADVERT = ("import socket, struct\nindex = socket.if_nametoindex('eth0'); s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)\n"
          "s.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 255); s.setsockopt(41, socket.IPV6_MULTICAST_IF, index)\n"
          "s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 86400, 86400, 0) +\n"
          " socket.inet_pton(socket.AF_INET6, '2001:db8:bad::'), ('ff02::1', 0, 0, index))\n")


@pytest.mark.parametrize("driver", ["routed", "bridge"])
def test_no_container_is_the_hosts_router_also_where_it_may_send_what_it_likes(host, driver):
    for name in ("all", "default"):
        with open("/proc/sys/net/ipv6/conf/%s/accept_ra" % name, "w") as f:
            f.write("2")
    try:
        host.berth("network", "create", "-d", driver, "--subnet", "10.88.0.0/24", "--subnet", "fd00:88::/64", "free")
        name, leases = node(host, network="free:spoof=yes")
    finally:
        for conf in ("all", "default"):
            with open("/proc/sys/net/ipv6/conf/%s/accept_ra" % conf, "w") as f:
                f.write("1")
    there = ["nsenter", "-t", str(host.status(name)["pid"]), "-n"]
    eventually(lambda: subprocess.run([*there, "ip", "-6", "addr", "show", "scope", "link", "-tentative"], capture_output=True, text=True).stdout.strip(), "it can speak")
    for _ in range(3):
        sh(*there, "python3", "-c", ADVERT)
        eventually(lambda: pings(host, name, "10.88.0.1"), "the host answers, behind it")
    assert not sh("ip", "-6", "route", "show", "proto", "ra") and "db8:bad" not in sh("ip", "-6", "addr") + sh("ip", "-6", "route")


@pytest.mark.native
def test_a_network_for_which_no_subnet_is_named_gets_free_ones_that_the_host_does_not_have(host, outside):
    def create(name, *flags):
        host.berth("network", "create", *flags, name)
        return [s["cidr"] for s in host.berth("network", "inspect", name).json()[0]["subnets"]]
    first, six = create("n1")
    assert re.fullmatch(r"10\.2[1-5][0-9]\.[0-9]+\.0/24", first) and re.fullmatch(r"fd.*::/64", six)
    a, b = (int(x) for x in first.split(".")[1:3])
    taken = ["10.%d.%d" % divmod(210 * 256 + (a * 256 + b + i - 210 * 256) % (45 * 256), 256) for i in range(1, 6)]
    host.berth("network", "create", "--subnet", taken[0] + ".0/24", "mine")        # another network has one, the host two
    sh("ip", "addr", "add", taken[1] + ".9/24", "dev", "out0")
    sh("ip", "route", "add", taken[2] + ".0/24", "via", "192.0.2.2")
    assert create("n2", "-d", "bridge")[0] == taken[3] + ".0/24"
    assert create("n3")[0] == taken[4] + ".0/24"
    x, lx = node(host, network="n2")
    y, ly = node(host, network="n2")
    for ip in addresses(ly):
        eventually(lambda: pings(host, x, ip), "the other one")
    host.refused("network", "create", "-d", "macvlan", "-o", "parent=out0", "wire", text="--subnet.*: it has those of the wire that it leads to: name them|name them", code=2)


@pytest.mark.native
def test_prune_removes_networks_that_nobody_has_and_no_others(host):
    for name, label in (("used", "a=1"), ("pods", "a=1"), ("lone", "a=1"), ("other", "b=1")):
        host.berth("network", "create", "--label", label, name)
    name = host.detached("--network", "used", "--", "sleep", "1000")
    host.berth("pod", "create", "--network", "pods", "p")
    listed = lambda *filters: host.berth("network", "ls", "--format", "{{.meta.name}}", *sum((["--filter", f] for f in filters), [])).lines
    assert listed("dangling=true") == ["lone", "other"] and listed("dangling=false") == ["default", "used", "pods", "host", "none"]
    uuid = host.berth("network", "inspect", "--format", "{{.meta.uuid}}", "lone").text
    assert listed("id=" + uuid[:12]) == ["lone"]
    assert host.berth("network", "prune", "-f", "--filter", "label=a").text == "lone"
    host.refused("network", "prune", "-f", "--filter", "name=a", text='"name=a" is not label=KEY', code=2)
    assert host.berth("network", "prune", "-f").text == "other" and host.berth("network", "prune", "-f").text == ""
    host.berth("--project", "a", "network", "create", "--shared", "--label", "b=2", "twin")
    host.berth("network", "create", "twin")
    own = host.berth("network", "inspect", "--format", "{{.meta.uuid}}", "twin").text
    assert host.berth("network", "prune", "-f", "--filter", "label=b").text == "twin"       # which is not the own one of that name
    assert listed("id=" + own) == ["twin"] and host.berth("network", "prune", "-f").text == "twin"
    host.berth("stop", "-t", "0", name)
    assert host.berth("network", "prune", "-f").text == ""         # it starts again, and wants it
    assert listed() == ["default", "used", "pods", "host", "none"]


@pytest.mark.native
@pytest.mark.parametrize("words, text, code", [
    (("network", "update", "--dns", "192.0.2.1", "host"), "the network host is always there", 1),
    (("network", "connect", "--ip", "10.99.0.1", "default", "C"), "--ip.*: 10.99.0.1 cannot be had in 10.209.0.0/16 of network default: it is not in there", 2),
    (("network", "connect", "--ip", "10.209.255.255", "default", "C"), "it is its first or last", 2),
    (("run", "--network", "default:ip=10.209.0.0", "busybox", "true"), "--network default:ip=10.209.0.0: .* it is its first or last", 125),
    (("run", "--network", "default:ip=IP", "busybox", "true"), "--network default:ip=[0-9.]+: [0-9.]+ is container C", 125)])
def test_what_cannot_be_had_names_the_flag_and_why(host, words, text, code):
    name, leases = node(host)
    words = [w.replace("IP", addresses(leases)[0]) if "ip=" in w else name if w == "C" else w for w in words]
    host.refused(*words, text=text.replace("container C", "container " + name), code=code)


@pytest.mark.native
def test_unknown_networks_and_contradictions_are_refused_and_leave_nothing(host):
    host.refused("run", "--network", "nowhere", "busybox", "true", text="there is no network 'nowhere'", code=125)
    host.refused("run", "--network", "host", "--network", "default", "busybox", "true", text="exclude each other", code=125)
    assert host.list() == []


@pytest.mark.native
def test_members_use_shared_networks_and_their_own_only(host):
    host.berth("network", "create", "--subnet", "10.82.0.0/24", "secret")
    secret = host.token("shop")
    with host.api(secret) as c:
        assert [n["meta"]["name"] for n in c.request("network_list")[0]["networks"]] == ["default", "none"]
        c.request("container_create", {"name": "m", "start": True, "spec": {"image": "busybox", "command": ["sleep", "100"],
                                                                            "networks": [{"network": "default"}]}})
        for network in ("secret",):
            with pytest.raises(Exception, match="there is no network"):
                c.request("container_create", {"spec": {"image": "busybox", "command": ["true"], "networks": [{"network": network}]}})


# ---------------------------------------------------------------- what a container must not do

def test_spoofed_addresses_do_not_pass(host, outside):
    a, la = node(host, "--cap-add", "NET_ADMIN")
    b, lb = node(host)
    assert pings(host, a, addresses(lb)[0])
    host.berth("exec", a, "ip", "addr", "add", "10.209.99.99/32", "dev", "eth0")
    assert host.berth("exec", a, "ping", "-c", "1", "-W", "1", "-I", "10.209.99.99", addresses(lb)[0], code=None).code
    host.berth("exec", a, "ip", "link", "set", "eth0", "down")
    host.berth("exec", a, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:01")
    host.berth("exec", a, "ip", "link", "set", "eth0", "up")
    host.berth("exec", a, "ip", "route", "add", "default", "via", "10.209.0.1", "dev", "eth0", "onlink", code=None)
    assert not pings(host, a, addresses(lb)[0])


# ---------------------------------------------------------------- published ports

SERVER = ("import socket, threading\n"
          "def serve(s):\n while True:\n  c, who = s.accept(); c.sendall(who[0].encode()); c.close()\n"
          "def echo(u):\n while True:\n  x, who = u.recvfrom(99); u.sendto(who[0].encode(), who)\n"
          "t, u = (socket.socket(socket.AF_INET6, k) for k in (1, 2))\n"
          "t.bind(('::', 80)); u.bind(('::', 80)); t.listen(); print('up', flush=True)\n"
          "threading.Thread(target=echo, args=(u,), daemon=True).start(); serve(t)\n")
ASK = ("import socket, sys\nk, ip, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])\n"
       "s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, k); s.settimeout(2)\n"
       "try:\n s.connect((ip, port)); s.send(b'?'); print(s.recv(99).decode().replace('::ffff:', ''))\n"
       "except OSError as e: print('nothing')\n")


def ask(ip, port, kind=1, before=()):
    """What the server calls us, or "nothing"."""
    return subprocess.run([*before, "python3", "-c", ASK, str(kind), ip, str(port)], capture_output=True, text=True).stdout.strip()


@pytest.fixture
def served(host):
    """A container with ports of the host that lead to its 80, where something listens."""
    name, lease = node(host, "-p", "8080:80", "-p", "8080:80/udp", "-p", "192.0.2.1:8081:80", "-p", "80")
    server = inside(host, name, SERVER)
    try:
        assert server.stdout.readline() == "up\n"
        yield name, lease
    finally:
        server.terminate()      # timeout(1), which hands it on


def test_published_ports_are_reached_from_outside_the_host_itself_and_containers(host, outside, served):
    name, lease = served
    found = [p["host_port"] for p in host.inspect(name)["spec"]["ports"]]
    assert found[:3] == [8080, 8080, 8081] and 61000 <= found[3] <= 65535
    for kind in (1, 2):
        assert ask("192.0.2.1", 8080, kind, outside.words()) == "192.0.2.2"     # who asks is seen as he is
    eventually(lambda: ask("2001:db8::1", 8080, 1, outside.words()) == "2001:db8::2", "IPv6 from outside")
    assert ask("192.0.2.1", found[3], 1, outside.words()) == "192.0.2.2"
    assert ask("192.0.2.1", 8081, 1, outside.words()) == "192.0.2.2" and ask("127.0.0.1", 8081) == "nothing"
    for ip in ("127.0.0.1", "192.0.2.1", "10.209.0.1", "2001:db8::1"):
        assert ask(ip, 8080) != "nothing", ip
    host.berth("network", "create", "--subnet", "10.84.0.0/24", "--subnet", "fd00:84::/64", "elsewhere")
    other, _ = node(host, network="elsewhere")
    for who in (name, other):       # the container itself, and one of another network: by the host's address alone
        words = ["nsenter", "-t", str(host.status(who)["pid"]), "-n"]
        assert ask("192.0.2.1", 8080, 1, words) != "nothing" and ask("2001:db8::1", 8080, 1, words) != "nothing"
    assert ask(addresses(lease)[0], 80, 1, ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]) == "nothing"
    assert ask(addresses(lease)[0], 80, 1, outside.words()) == "nothing"
    host.berth("stop", "-t", "0", name)
    assert ask("192.0.2.1", 8080, 1, outside.words()) == "nothing" and "8080" not in table()


@pytest.mark.native
def test_containers_do_not_reach_the_hosts_loopback_by_a_published_port(host, outside, served):
    name, _ = served
    s = subprocess.Popen(["timeout", "300", "python3", "-c", "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 99)); s.listen()\n"
                          "print('up', flush=True)\nwhile True:\n c, _ = s.accept(); c.sendall(b'secret'); c.close()"], stdout=subprocess.PIPE, text=True)
    assert s.stdout.readline() == "up\n" and ask("127.0.0.1", 99) == "secret"
    rogue, _ = node(host, "--cap-add", "NET_ADMIN", "-p", "8090:80")
    pid = str(host.status(rogue)["pid"])
    sh("nsenter", "-t", pid, "-n", "ip", "route", "del", "table", "local", "127.0.0.0/8", "dev", "lo")
    sh("nsenter", "-t", pid, "-n", "ip", "route", "del", "table", "local", "127.0.0.1", "dev", "lo")
    sh("nsenter", "-t", pid, "-n", "ip", "route", "add", "127.0.0.0/8", "via", "10.209.0.1", "dev", "eth0", "onlink", "src", host.inspect(rogue)["networks"][0]["addresses"][0])
    assert ask("127.0.0.1", 99, 1, ["nsenter", "-t", pid, "-n"]) == "nothing"
    s.terminate()


@pytest.mark.native
def test_ports_that_are_taken_or_cannot_be_are_refused(host):
    a, _ = node(host, "-p", "8080:80")
    with subprocess.Popen(["timeout", "300", "python3", "-c", "import socket, time\ns = socket.socket(); s.bind(('0.0.0.0', 8099)); s.listen()\n"
                           "print('up', flush=True)\ntime.sleep(19)"], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout.readline() == "up\n"
        for flag, text in (("8080:1", "port 8080/tcp of the host is container " + a), ("127.0.0.1:8080:1", "is container " + a),
                           ("8099:80", "listens there"), ("192.168.7.7:80:80", "no address of this host"),
                           ("[::1]:80:80", "::1"), ("80:0", "ports are 1 to 65535"), ("1-2:1-3", "as many ports of the host"), ("x", "is not"), ("80:80/icmp", "there are tcp, udp and sctp"),
                           ("70000:1", "ports are 1 to 65535"), ("1.2.3:80:80", "is not an IP address")):
            host.refused("run", "--network", "default", "-p", flag, "busybox", "true", text=text, code=125)
        listener.terminate()
    host.refused("run", "--network", "none", "-p", "80:80", "busybox", "true", text="without a network it has no ports", code=125)
    host.berth("run", "--rm", "-p", "8080:80/udp", "busybox", "true")       # another protocol, and a network by itself
    host.berth("rm", "-f", a)
    host.berth("run", "--rm", "-p", "8080:80", "busybox", "true")


# ---------------------------------------------------------------- faults

def net_pid(host):
    out = subprocess.run(["pgrep", "-x", "-P", str(host.daemon.pid), "berth-net"], capture_output=True, text=True).stdout.split()
    return int(out[0]) if out else None


@pytest.mark.native
def test_berth_net_holds_the_namespaces_of_interfaces_until_their_holders_have_ended(host):
    def held():
        folder, out = "/proc/%d/fd" % net_pid(host), set()
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                out.add(os.readlink(folder + "/" + fd))
        return out
    names = [node(host)[0] for _ in range(3)]
    theirs = {os.readlink("/proc/%d/ns/net" % host.status(x)["pid"]) for x in names}
    assert len(theirs) == 3 and theirs <= held()
    host.berth("stop", "-t", "0", names[0])
    host.berth("restart", "-t", "0", names[1])
    host.berth("rm", "-f", names[2])
    now = os.readlink("/proc/%d/ns/net" % host.status(names[1])["pid"])
    eventually(lambda: held() & (theirs | {now}) == {now}, "what has ended is let go")
    host.berth("network", "create", "--subnet", "10.89.0.0/24", "more")
    host.berth("network", "connect", "more", names[1])
    host.berth("network", "disconnect", "more", names[1])
    assert now in held()
    host.berth("rm", "-f", names[1])
    eventually(lambda: now not in held(), "the last")


@pytest.mark.native
def test_berth_net_killed_at_any_moment_is_started_again_and_nothing_that_runs_notices(host):
    a, la = node(host)
    b, _ = node(host)
    for i in range(10):
        p = host.popen("run", "-d", "--network", "default", "busybox", "sleep", "1000")
        time.sleep(0.002 * i)
        pid = net_pid(host)
        if pid:
            with contextlib.suppress(ProcessLookupError):       # the one before, which was just dying
                os.kill(pid, signal.SIGKILL)
        out, err = p.communicate(timeout=30)
        assert p.returncode == 0, err
        assert pings(host, out.decode().strip(), addresses(la)[0])
    assert pings(host, b, addresses(la)[0])


@pytest.mark.native
def test_kill_9_of_berthd_during_attach_leaves_nothing_without_an_owner(host):
    for i in range(8):
        p = host.popen("run", "-d", "--network", "default", "busybox", "sleep", "1000")
        time.sleep(0.004 * i)
        host.restart()
        p.communicate(timeout=30)
    for c in host.list():
        name = c["meta"]["uuid"]
        host.wait_state(name, "running")
        assert pings(host, name, "10.209.0.1")
    # What is left is looked for behind every test: links, elements, routes.


@pytest.mark.native
def test_a_flushed_table_is_made_again_with_the_next_change(host):
    a, la = node(host)
    sh("nft", "flush", "ruleset")
    b, lb = node(host)
    assert la[0]["host_link"] in table() and lb[0]["host_link"] in table()
    assert pings(host, a, addresses(lb)[0])


@pytest.mark.native
def test_the_link_of_one_that_ended_goes_though_a_connection_still_has_something_to_send(host):
    """Nobody reads what it sent: the kernel keeps the namespace, and would keep the link, for minutes to send it."""
    a, (lease,) = node(host)
    with socket.create_server(("", 0)) as server:
        p = inside(host, a, "import socket, time\ns = socket.create_connection(('10.209.0.1', %d))\ns.setblocking(False)\ntry:\n"
                            "  while True: s.send(b'x' * 65536)\nexcept BlockingIOError: print('full', flush=True); time.sleep(1000)\n" % server.getsockname()[1])
        c, _ = server.accept()
        with c:
            assert p.stdout.readline() == "full\n" and lease["host_link"] in sh("ip", "link")
            p.terminate()
            p.wait()
            host.berth("rm", "-f", a)
            eventually(lambda: lease["host_link"] not in sh("ip", "link"), "gone")
