"""Floating IPs: what goes to one reaches its container and nobody else, what the container sends has it; and that changes while all runs."""

import os
import signal
import subprocess

import pytest

from host import eventually
from proto import Refused
from test_networks import addresses, ask, inside, net_pid, node, outside, pings, sh, table  # noqa: F401 (a fixture)
from test_publish import serving
from test_table import ECHO, Stream

FOUR, SIX = "192.0.2.100", "2001:db8::100"


@pytest.fixture
def pools(host, outside):  # noqa: F811
    """Addresses of the wire to the machine outside: it asks for them by ARP and NDP."""
    fip(host, "pool-create", "--range", "192.0.2.96/27", "--link", "out0", "four")
    fip(host, "pool-create", "--range", "2001:db8::100-2001:db8::10f", "--link", "out0", "six")
    eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")


def fip(host, *words, **kw):
    return host.berth("floating-ip", *words, **kw)


def associated(host, name, *ips):
    for ip in ips or (FOUR, SIX):
        fip(host, "allocate", "--ip", ip)
        fip(host, "associate", ip, name)


def within(host, name):
    return ["nsenter", "-t", str(host.status(name)["pid"]), "-n"]


def test_what_goes_to_it_reaches_the_container_with_all_protocols_and_what_leaves_has_it(host, outside, pools):  # noqa: F811
    name, lease = node(host)
    other, _ = node(host)
    with serving(host, name):
        for ip in (FOUR, SIX):
            assert ask(ip, 80, 1, outside.words()) == "nothing"
        associated(host, name)
        for ip, who in ((FOUR, "192.0.2.2"), (SIX, "2001:db8::2")):
            assert outside.pings(ip)
            for kind in (1, 2):
                assert ask(ip, 80, kind, outside.words()) == who, (ip, kind)
        assert ask("192.0.2.101", 80, 1, outside.words()) == "nothing"      # of the pool, and nobody's
    # The server outside says who asks: the one by its own address, the other by the host's.
    with serving_outside(outside):
        for ip, own in (("192.0.2.2", FOUR), ("2001:db8::2", SIX)):
            assert ask(ip, 80, 1, within(host, name)) == own and ask(ip, 80, 2, within(host, name)) == own
            assert ask(ip, 80, 1, within(host, other)) == {"192.0.2.2": "192.0.2.1", "2001:db8::2": "2001:db8::1"}[ip]
    assert not outside.pings(addresses(lease)[0])       # by its own address it is as unreachable as ever: there is no way


class serving_outside:
    def __init__(self, outside):  # noqa: F811
        from test_networks import SERVER
        self.p = subprocess.Popen(outside.words("timeout", "300", "python3", "-c", SERVER), stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.p.stdout.readline() == "up\n"

    def __exit__(self, *_):
        self.p.terminate()
        self.p.communicate()


ASKER = ("import socket, sys\nsockets = {}\n"
         "for line in sys.stdin:\n kind, ip = line.split(); new = (kind, ip) not in sockets\n"
         " s = sockets.setdefault((kind, ip), socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, int(kind)))\n"
         " s.settimeout(5); new and s.connect((ip, 80)); s.send(b'?'); print(s.recv(99).decode().replace('::ffff:', ''), flush=True)\n")


@pytest.mark.native
def test_whom_it_asks_by_datagrams_or_pings_sees_its_address_of_now(host, outside, pools):  # noqa: F811
    name, _ = node(host, "-p", "8080:80")
    other, leases = node(host)
    asker = inside(host, name, ASKER, stdin=subprocess.PIPE)

    def sees(ip):
        asker.stdin.write("2 %s\n" % ip)
        asker.stdin.flush()
        return asker.stdout.readline().strip()

    with serving(host, other), serving_outside(outside):
        own = {ip: sees(ip) for ip in addresses(leases)}
        assert sees("192.0.2.2") == "192.0.2.1" and sees("2001:db8::2") == "2001:db8::1"
        associated(host, name)
        assert sees("192.0.2.2") == FOUR and sees("2001:db8::2") == SIX
        assert {ip: sees(ip) for ip in own} == own
        fip(host, "disassociate", FOUR, SIX)
        assert sees("192.0.2.2") == "192.0.2.1" and sees("2001:db8::2") == "2001:db8::1"
        assert {ip: sees(ip) for ip in own} == own
    asker.terminate()
    asker.communicate()
    outside.do("nft", "add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip saddr 192.0.2.1 icmp type echo-request counter drop")
    pings = subprocess.Popen([*within(host, name), "ping", "-i", "0.2", "192.0.2.2"], stdout=subprocess.PIPE, text=True)
    eventually(lambda: "packets 0 " not in outside.do("nft", "list", "ruleset"), "it has begun")
    fip(host, "associate", FOUR, name)
    pings.stdout.readline()
    assert "64 bytes from 192.0.2.2" in pings.stdout.readline()
    pings.terminate()
    pings.communicate()


@pytest.mark.native
def test_the_host_other_containers_and_the_container_itself_reach_it(host, outside, pools):  # noqa: F811
    name, _ = node(host)
    same, _ = node(host)
    host.berth("network", "create", "--subnet", "10.87.0.0/24", "--subnet", "fd00:87::/64", "apart")
    apart, _ = node(host, network="apart")
    associated(host, name)
    associated(host, apart, "192.0.2.120")
    with serving(host, name):
        for ip in (FOUR, SIX):
            assert ask(ip, 80) != "nothing" and ask(ip, 80, 2) != "nothing"
            for who in (name, same, apart):
                assert ask(ip, 80, 1, within(host, who)) != "nothing", (ip, who)
        assert ask(FOUR, 80, 1, within(host, apart)) == "192.0.2.120"       # who has one is seen by it
        assert ask("192.0.2.1", 80) == "nothing"


def test_it_changes_at_once_its_own_connections_end_and_no_others(host, outside, pools):  # noqa: F811
    a, _ = node(host, "-p", "8080:80")
    b, _ = node(host)
    servers = [inside(host, x, ECHO) for x in (a, b)]
    for s in servers:
        assert s.stdout.readline() == "up\n"
    associated(host, a)
    published = Stream("192.0.2.1", 8080, outside.words())
    floating = Stream(FOUR, 80, outside.words())
    published.goes_on()
    floating.goes_on()
    fip(host, "disassociate", FOUR)
    published.goes_on()
    assert ask(FOUR, 80, 1, outside.words()) == "nothing"
    fip(host, "associate", FOUR, b)
    published.goes_on()
    assert floating.p.wait(30) != 0        # b knows nothing of it
    floating.p.communicate()
    again = Stream(FOUR, 80, outside.words())
    again.goes_on()
    for s in (published, again):
        s.goes_on()
        s.end()
    for name in (a, b):
        eventually(lambda: not any(w in sh(*within(host, name), "ss", "-Htan") for w in ("ESTAB", "CLOSE-WAIT", "LAST-ACK", "FIN-WAIT")),
                   "both ends of each connection are closed", 20)
    for s in servers:
        s.terminate()
        s.communicate()
    fip(host, "disassociate", FOUR, SIX)
    assert FOUR not in table() and "proto 190" not in sh("ip", "route") and not sh("ip", "neigh", "show", "proxy")


@pytest.mark.native
def test_it_stays_over_stop_start_kill_9_of_berthd_and_of_berth_net_and_is_left_behind_by_rm(host, outside, pools):  # noqa: F811
    name, _ = node(host)
    associated(host, name)
    host.berth("stop", "-t", "0", name)
    eventually(lambda: FOUR not in table(), "it leads nowhere while nothing runs")
    assert not outside.pings(FOUR)
    host.berth("start", name)
    eventually(lambda: outside.pings(FOUR), "after the start")
    host.restart()
    eventually(lambda: outside.pings(FOUR) and outside.pings(SIX), "after kill -9 of berthd")
    sh("nft", "flush", "ruleset")
    eventually(lambda: outside.pings(FOUR) and FOUR in table(), "after a flush of the ruleset")
    out = host.berth("floating-ip", "ls").out
    assert "container %s:eth0" % name in out and FOUR in out
    for pid in subprocess.run(["pgrep", "-x", "-P", str(host.daemon.pid), "berth-net"], capture_output=True, text=True).stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    fip(host, "disassociate", SIX)
    eventually(lambda: outside.pings(FOUR) and not outside.pings(SIX), "after kill -9 of berth-net")
    host.berth("rm", "-f", name)
    eventually(lambda: FOUR not in table() and "proto 190" not in sh("ip", "route"), "gone with the container")
    f, = [x for x in fip(host, "ls", "--format", "json").json() if x["address"] == FOUR]
    assert "target_uuid" not in f
    fip(host, "release", FOUR, SIX)


@pytest.mark.native
def test_changes_that_the_next_berth_net_has_heard_of_already_are_made(host, outside, pools):  # noqa: F811
    """It is told everything first: that the second address leads there. Then it is asked once more to take away the first."""
    name, _ = node(host)
    associated(host, name, FOUR)
    second = fip(host, "allocate", "--pool", "four").text
    pid = net_pid(host)
    os.kill(pid, signal.SIGSTOP)
    with host.client() as c:
        asked = [c.ask("floating_ip_disassociate", {"ip": FOUR}), c.ask("floating_ip_associate", {"ip": second, "target": name})]
        eventually(lambda: [x for x in fip(host, "ls", "--format", "json").json() if x["address"] == second and x.get("target_uuid")], "it is to be so")
        os.kill(pid, signal.SIGKILL)
        for a in asked:
            env, _ = c.answer(a)
            assert "error" not in env, env
    assert outside.pings(second) and FOUR not in table() and not outside.pings(FOUR)


def test_it_ends_with_its_interface_and_leads_to_no_later_one_of_that_name(host, outside, pools):  # noqa: F811
    name, _ = node(host)
    associated(host, name)
    assert outside.pings(FOUR) and outside.pings(SIX)
    host.berth("network", "disconnect", "default", name)
    assert FOUR not in table() and SIX not in table() and "proto 190" not in sh("ip", "route") + sh("ip", "-6", "route")
    assert host.berth("network", "connect", "default", name).text == "eth0"
    eventually(lambda: subprocess.run(["ping", "-c", "1", "-W", "1", host.inspect(name)["networks"][0]["addresses"][0]], capture_output=True).returncode == 0,
               "the new interface")
    for again in (lambda: None, host.restart):
        again()
        assert FOUR not in table() and not outside.pings(FOUR)
        assert not [x for x in fip(host, "ls", "--format", "json").json() if "target_uuid" in x or "lease" in x]
    fip(host, "associate", FOUR, name)
    assert outside.pings(FOUR)
    fip(host, "disassociate", FOUR)


def test_what_is_routed_to_the_host_and_leads_to_nobody_is_unreachable_and_does_not_go_back(host, outside):  # noqa: F811
    for family, pool in (("-4", "198.51.100.3-198.51.100.17"), ("-6", "2001:db8:1::3-2001:db8:1::11")):
        fip(host, "pool-create", "--range", pool, "routed%s" % family)
        sh(*outside.words(), "ip", family, "route", "add", pool.split("-")[0].rstrip("3") + ("0/27" if family == "-4" else "/123"), "via",
           "192.0.2.1" if family == "-4" else "2001:db8::1")
    eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")
    name, _ = node(host)

    # Whoever has no better way takes the default route: back to where it came from.
    sh("ip", "route", "add", "default", "via", "192.0.2.2")
    sh("ip", "-6", "route", "add", "default", "via", "2001:db8::2")

    def nowhere(ip):
        return subprocess.run(["ip", "route", "get", ip], capture_output=True).returncode != 0

    def says_so(ip):
        return "nreachable" in subprocess.run([*outside.words(), "ping", "-c", "1", "-W", "2", ip], capture_output=True, text=True).stdout
    for ip, before, behind in (("198.51.100.9", "198.51.100.2", "198.51.100.18"), ("2001:db8:1::9", "2001:db8:1::2", "2001:db8:1::12")):
        assert nowhere(ip) and not nowhere(before) and not nowhere(behind)
        eventually(lambda: says_so(ip), "the asker is told")
        fip(host, "allocate", "--ip", ip)
        assert nowhere(ip)
        fip(host, "associate", ip, name)
        assert outside.pings(ip)
        host.restart()
        assert outside.pings(ip)
        fip(host, "disassociate", ip)
        assert nowhere(ip)
        sh("ip", "route", "flush", "proto", "190")
        sh("ip", "-6", "route", "flush", "proto", "190")
        sh("nft", "flush", "ruleset")       # … and it is told everything again
        eventually(lambda: nowhere(ip), "it is made anew")
        fip(host, "release", ip)
    # The gateway is on that wire: whoever says no link does not lose it.
    fip(host, "pool-create", "--range", "192.0.2.0-192.0.2.0", "wire")
    fip(host, "pool-create", "--range", "192.0.2.2", "gateway")
    assert not nowhere("192.0.2.2") and outside.pings("192.0.2.1")
    for much in ("198.18.0.0-198.20.0.0", "2001:db8:2::/63"):
        host.refused("floating-ip", "pool-create", "--range", much, "much", text="at most 65536 IPv4 addresses, or those of one IPv6 /64", code=2)
    fip(host, "pool-rm", "wire", "gateway")
    fip(host, "pool-rm", "routed-4")
    fip(host, "pool-rm", "routed-6")
    eventually(lambda: "proto 190" not in sh("ip", "route") + sh("ip", "-6", "route"), "gone with the pools")


@pytest.mark.native
def test_a_pool_without_a_link_is_judged_anew_when_a_wire_comes_and_goes(host, outside):  # noqa: F811
    """As by DHCP: nobody routes to the host what is on a wire of its own, and others there are to be reached."""
    wires = (("-4", "198.51.100.8-198.51.100.9", "198.51.100.1/24"), ("-6", "2001:db8:1::8-2001:db8:1::9", "2001:db8:1::1/64"))
    nowhere = lambda family: [x for x in sh("ip", family, "route", "show", "proto", "190").splitlines() if x.startswith("unreachable")]
    for family, pool, address in wires:
        fip(host, "pool-create", "--range", pool, "routed%s" % family)
        eventually(lambda: len(nowhere(family)) == 1, lambda: sh("ip", family, "route"))
    for _ in range(2):
        for family, pool, address in wires:
            sh("ip", "addr", "add", address, "dev", "out0", *["nodad"] * (family == "-6"))
            eventually(lambda: not nowhere(family), lambda: sh("ip", family, "route"))
        for family, pool, address in wires:
            sh("ip", "addr", "del", address, "dev", "out0")
            eventually(lambda: len(nowhere(family)) == 1, lambda: sh("ip", family, "route"))
    mine, = nowhere("-4")
    sh("ip", "route", "add", *mine.split("metric")[0].split(), "proto", "190", "metric", "7")        # of one that had another metric
    fip(host, "pool-rm", "routed-6")
    eventually(lambda: nowhere("-4") == [mine], lambda: nowhere("-4"))
    fip(host, "pool-rm", "routed-4")
    eventually(lambda: not nowhere("-4") + nowhere("-6"), "gone with the pools")


@pytest.mark.native
def test_a_pod_has_one_too(host, outside, pools):  # noqa: F811
    host.berth("pod", "create", "--name", "shop", "--network", "default")
    name = host.detached("--pod", "shop", "--", "sleep", "1000")
    fip(host, "allocate", "--pool", "four", "--ip", FOUR)
    fip(host, "associate", FOUR, name)      # a container in a pod: the pod
    assert "pod shop:eth0" in fip(host, "ls").out
    with serving(host, name):
        assert ask(FOUR, 80, 1, outside.words()) == "192.0.2.2"


@pytest.mark.native
def test_members_of_a_project_have_so_many_and_admins_as_many_as_they_like(host):
    fip(host, "pool-create", "--range", "198.51.100.0/26", "--shared", "many")
    with host.api(host.token("shop")) as shop, host.api(host.token("other")) as other, host.api(host.token("shop", user="boss", role="ADMIN")) as boss:
        first = shop.request("floating_ip_allocate", {"pool": "many"})[0]["floating_ips"][0]
        for _ in range(49):
            last = shop.request("floating_ip_allocate", {"pool": "many"})[0]["floating_ips"][0]
        with pytest.raises(Refused, match="project shop has 50 floating IPs: its members may allocate no more .members_floating_ips.") as e:
            shop.request("floating_ip_allocate", {"pool": "many"})
        assert e.value.code == "EXHAUSTED"
        other.request("floating_ip_allocate", {"pool": "many"})
        boss.request("floating_ip_allocate", {"pool": "many"})
        shop.request("floating_ip_release", {"ip": last["address"]})
        with pytest.raises(Refused, match="project shop has 50"):       # the admin's is one of them
            shop.request("floating_ip_allocate", {"pool": "many"})
        shop.request("floating_ip_release", {"ip": first["address"]})
        shop.request("floating_ip_allocate", {"pool": "many"})


@pytest.mark.native
def test_pools_and_addresses_are_given_once_and_what_cannot_be_is_refused(host):
    host.berth("network", "create", "--subnet", "10.88.0.0/24", "net")
    create = lambda *words: ("floating-ip", "pool-create", *words)
    fip(host, "pool-create", "--range", "198.51.100.8-198.51.100.10", "p")
    for words, text, code in (
            (("--range", "198.51.100.0/28", "q"), "198.51.100.0/28 overlaps with 198.51.100.8-198.51.100.10 of the pool p", 1),
            (("--range", "10.88.0.128/25", "q"), "10.88.0.128/25 overlaps with 10.88.0.0/24 of network net", 1),
            (("--range", "127.0.0.0/24", "q"), "mean something else", 2), (("--range", "198.51.100.9/24", "q"), "bits behind its prefix", 2),
            (("--range", "10.209.0.1", "q"), "10.209.0.1 overlaps with", 1), (("--range", "one", "q"), "neither a subnet", 2),
            (("--range", "203.0.113.9-203.0.113.8", "q"), "is not a later address", 2), (("--range", "203.0.113.9-::1", "q"), "is not a later address", 2),
            (("--range", "203.0.113.0/28", "--link", "nothere", "q"), "the host has no link nothere", 1),
            (("--range", "203.0.113.0/28", "--link", "berth0", "q"), "nobody outside", 2),
            (("--range", "203.0.113.0/28", "p"), "there is a pool p", 1), (("q",), "a pool needs --range", 2)):
        host.refused(*create(*words), text=text, code=code)
    sh("ip", "addr", "add", "203.0.113.5/32", "dev", "lo")
    host.refused(*create("--range", "203.0.113.0/28", "q"), text="203.0.113.5 is an address of the host itself, on lo")
    sh("ip", "addr", "del", "203.0.113.5/32", "dev", "lo")
    host.refused("network", "create", "--subnet", "198.51.100.0/24", "over", text="overlaps with 198.51.100.8-198.51.100.10 of the pool of floating IPs p")
    got = [fip(host, "allocate").text for _ in range(3)]
    assert sorted(got) == ["198.51.100.10", "198.51.100.8", "198.51.100.9"]
    host.refused("floating-ip", "allocate", text="every address of the pool p .* is somebody's")
    host.refused("floating-ip", "allocate", "--ip", "198.51.100.9", text="198.51.100.9 is somebody's already")
    host.refused("floating-ip", "allocate", "--ip", "198.51.101.9", text="no pool of floating IPs has 198.51.101.9")
    host.refused("floating-ip", "pool-rm", "p", text="3 addresses of the pool p are allocated")
    a, b = node(host)[0], node(host)[0]
    lone = host.detached("--", "sleep", "1000")
    fip(host, "associate", got[0], a)
    fip(host, "associate", got[0], a + ":eth0")     # as it is
    host.refused("floating-ip", "associate", got[0], b, text="%s leads to container %s: disassociate it first" % (got[0], a))
    host.refused("floating-ip", "associate", got[1], a, text="eth0 of container %s has %s already" % (a, got[0]))
    host.refused("floating-ip", "associate", got[1], lone, text="container %s has no network" % lone)
    host.refused("floating-ip", "associate", got[1], b + ":eth7", text="container %s has no interface eth7" % b)
    host.refused("floating-ip", "associate", got[1], "nobody", text="nobody")
    host.refused("floating-ip", "release", got[0], text="leads to container %s" % a)
    host.refused("floating-ip", "disassociate", got[1], text="leads to nobody")
    host.restart()
    f = {x["address"]: x for x in fip(host, "ls", "--format", "json").json()}
    assert sorted(f) == sorted(got) and f[got[0]]["target"] == a and f[got[0]]["fixed_address"] == host.inspect(a)["networks"][0]["addresses"][0]
    assert fip(host, "pool-ls", "--format", "json").json()[0]["used"] == 3
    fip(host, "pool-create", "--range", "198.51.100.64/26", "second")
    host.refused("floating-ip", "allocate", text="several pools")
    assert fip(host, "allocate", "--pool", "second").text.startswith("198.51.100.")
