"""Interfaces made ahead, in spare shims: a start with a network finds its links there, and nothing else of it is there before."""

import json
import os
import signal
import socket
import subprocess

import pytest

from host import eventually
from test_networks import addresses, net_pid, node, outside, pings  # noqa: F401


def sh(*words, code=0, **kw):
    r = subprocess.run(words, capture_output=True, text=True, **kw)
    assert code is None or r.returncode == code, (words, r.stdout, r.stderr)
    return r.stdout


def link(name):
    """As the host has it; None: there is none."""
    r = subprocess.run(["ip", "-j", "-d", "link", "show", name], capture_output=True, text=True)
    return json.loads(r.stdout)[0] if r.returncode == 0 else None


def slots(host):
    return host.ask("info").get("network_slots", [])


@pytest.fixture(autouse=True)
def one(host):
    """One spare: which a start takes, and what waits in it, is no chance."""
    settings = host.options[host.options.index("--config") + 1]
    with open(settings) as f:
        before = f.read()

    def restart(text):
        with open(settings, "w") as f:
            f.write(text)
        host.restart()
    restart(before + "spare_shims = 1\n")
    yield
    restart(before)


def filled(host, *flags, mtu=1500):
    """A start of that kind, and a slot for the next one; name of the host's end -> its number."""
    before = set(slots(host))
    host.run_(*(flags or ("--network", "default")), "--", "true")

    def there():
        found = {x: link(x) for x in slots(host)}
        return host.ask("info").get("spare_shims") == len(host.spares()) == len(found) == 1 and not before & set(found) and \
            all(x and x["mtu"] == mtu for x in found.values()) and {x: found[x]["ifindex"] for x in found}
    return eventually(there, lambda: "a slot: %r in %r" % (slots(host), host.spares()))


def takes(host, made, *flags):
    """A container that has one of these slots; its name and first lease."""
    name = host.detached("--rm", *(flags or ("--network", "default")), "--", "sleep", "600")
    lease = host.inspect(name)["networks"][0]
    assert link(lease["host_link"])["ifindex"] == made.get(lease["host_link"]), "its links are the slot's"
    assert lease["host_link"] not in slots(host)
    return name, lease


def links(host, name):
    return set(host.berth("exec", name, "ls", "/sys/class/net").text.split())


def works(host, name, lease, mtu=1500):
    """As any interface: what the lease says, and reached from the host and another container on both families."""
    assert host.berth("exec", name, "cat", "/sys/class/net/eth0/address", "/sys/class/net/eth0/mtu").text.split() == [lease["mac"], str(mtu)]
    for a in lease["addresses"]:
        assert subprocess.run(["ping", "-c", "1", "-W", "2", a], capture_output=True).returncode == 0, a
    assert pings(host, name, "10.209.0.1") or lease["network"] != "default"


def test_a_start_finds_the_links_of_its_interface_made(host):
    made = filled(host)
    name, lease = takes(host, made)
    works(host, name, lease)
    other, of_other = node(host)
    for a in lease["addresses"]:
        assert pings(host, other, a)
    host.berth("rm", "-f", name)
    eventually(lambda: link(lease["host_link"]) is None, "its link is gone")


# ---------------------------------------------------------------- what is not there yet

SENDER = r"""
import socket, struct, sys, time
mark, to_mac = b"from-a-slot", bytes.fromhex(sys.argv[1])
ips = [socket.inet_pton(socket.AF_INET6 if ":" in x else socket.AF_INET, x) for x in sys.argv[2].split(",")]
to = [socket.inet_pton(socket.AF_INET6 if ":" in x else socket.AF_INET, x) for x in sys.argv[3].split(",")]
macs = [bytes.fromhex(x) for x in sys.argv[4].split(",")]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
s.bind(("eth0", 0))


def total(b):
    b += b"\0" * (len(b) % 2)
    n = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff or 0xffff


def udp(a, b):
    body = struct.pack("!HHHH", 7777, 7777, 8 + len(mark), 0) + mark
    pseudo = a + b + (struct.pack("!BBH", 0, 17, len(body)) if len(a) == 4 else struct.pack("!II", len(body), 17))
    body = body[:6] + struct.pack("!H", total(pseudo + body)) + body[8:]
    if len(a) == 16:
        return struct.pack("!IHBB", 6 << 28, len(body), 17, 64) + a + b + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0) + a + b
    return head[:10] + struct.pack("!H", total(head)) + head[12:] + body


for mac in macs:
    for a in ips:
        for b in to:
            if len(a) == len(b):
                s.send(to_mac + mac + (b"\x08\x00" if len(a) == 4 else b"\x86\xdd") + udp(a, b))
"""


def namespace(pid):
    """The one that a spare shim has ready."""
    mine = os.readlink("/proc/self/ns/net")
    for fd in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, fd)
        to = os.readlink(path)
        if to.startswith("net:") and to != mine:
            return path
    raise AssertionError("spare %d has none" % pid)


def of_link(host, name):
    """The spare in which the other end of this link is."""
    index = link(name)["link_index"]
    for uuid, pid in host.spares().items():
        inside = json.loads(sh("nsenter", "--net=" + namespace(pid), "ip", "-j", "link", "show"))
        if [x for x in inside if x["ifindex"] == index and x["ifname"] == "eth0" and x.get("link_index") == link(name)["ifindex"]]:
            return uuid, pid
    raise AssertionError("no spare has the other end of " + name)


def test_nothing_passes_from_a_slot_nor_to_it_whatever_is_sent_there(host, outside):
    a, leases = node(host)
    made = filled(host)
    name = sorted(made)[0]
    _, pid = of_link(host, name)
    inside = ["nsenter", "--net=" + namespace(pid)]
    assert not [x for x in json.loads(sh(*inside, "ip", "-j", "addr", "show", "eth0"))[0]["addr_info"] if x["scope"] == "global"]
    assert not sh("ip", "route", "show", "dev", name) and not [x for x in sh("ip", "-6", "route", "show", "dev", name).splitlines()]
    assert name not in sh("nft", "list", "table", "inet", "berth")
    own = json.loads(sh(*inside, "ip", "-j", "link", "show", "eth0"))[0]["address"]
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))     # whatever link of the host it comes to, or leaves by
    servers = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
    for s in servers:
        s.bind(("", 7777) if s.family == socket.AF_INET else ("::", 7777, 0, 0)) if s.family == socket.AF_INET else \
            (s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1), s.bind(("::", 7777)))
        s.setblocking(False)
    plain = lambda mac: mac.replace(":", "")
    sources = [*leases[0]["addresses"], "10.209.7.7", "fd00::7", "192.0.2.2", "127.0.0.1", "169.254.1.1", "fe80::7", "0.0.0.0", "::"]
    targets = [*leases[0]["addresses"], "10.209.0.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "127.0.0.1", "255.255.255.255", "ff02::1"]
    send = [*inside, "python3", "-c", SENDER, plain(link(name)["address"]), ",".join(sources), ",".join(targets), ",".join([plain(own), plain(leases[0]["mac"])])]
    sh(*send)
    came, elsewhere = 0, []
    heard.settimeout(2)
    sh(*inside, "python3", "-c", SENDER.replace("from-a-slot", "that-was-all"), plain(link(name)["address"]), "10.209.7.7", "10.209.0.1", plain(own))
    while True:
        data, where = heard.recvfrom(2000)
        if b"that-was-all" in data and where[0] == name:
            break
        if b"from-a-slot" in data:
            came += where[0] == name
            elsewhere += [where[0]] * (where[0] != name)
    assert came >= 40 and not elsewhere, "what a slot sends goes no further: %r" % elsewhere
    for s in servers:
        with pytest.raises(BlockingIOError):
            s.recv(100)
        s.close()
    heard.close()
    # And as whoever might be in there would do it.
    sh(*inside, "ip", "addr", "add", "10.209.7.7/32", "dev", "eth0")
    sh(*inside, "ip", "route", "add", "default", "dev", "eth0")
    for target in ("10.209.0.1", leases[0]["addresses"][0], "192.0.2.2"):
        assert subprocess.run([*inside, "ping", "-c", "1", "-W", "0.3", target], capture_output=True).returncode
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: link(name) is None, "it goes with its shim")


@pytest.mark.native
@pytest.mark.parametrize("flags, has", [
    ((), {"lo"}), (("--network", "default:link=lan0"), {"lo", "lan0"}), (("--network", "default:mac=02:00:00:00:00:77"), {"lo", "eth0"}),
    (("--network", "wide"), {"lo", "eth0"}), (("--network", "wire"), {"lo", "eth0"}), (("--network", "wide", "--network", "default:link=eth0"), {"lo", "eth0", "eth1"}),
    (("--network", "default", "--sysctl", "net.ipv4.conf.default.rp_filter=0"), {"lo", "eth0"})])
def test_who_wants_no_such_interface_finds_none(host, flags, has):
    host.berth("network", "create", "--subnet", "10.88.0.0/24", "--mtu", "1400", "wide")
    host.berth("network", "create", "-d", "bridge", "--subnet", "10.88.1.0/24", "wire")
    made = filled(host)
    name = host.detached("--rm", *flags, "--", "sleep", "600")
    assert links(host, name) == has
    for lease in host.inspect(name).get("networks", []):
        assert lease["host_link"] not in made
        words = host.berth("exec", name, "cat", "/sys/class/net/%s/address" % lease["link"], "/sys/class/net/%s/mtu" % lease["link"]).text.split()
        assert words == [lease["mac"], "1400" if lease["network"] == "wide" else "1500"]
    host.berth("rm", "-f", name)
    host.berth("network", "rm", "wide", "wire")


@pytest.mark.native
def test_a_slot_is_of_the_mtu_of_the_network_and_outlives_it(host):
    host.berth("network", "create", "--subnet", "10.88.0.0/24", "--mtu", "1400", "wide")
    made = filled(host, "--network", "wide", mtu=1400)
    assert not [x for x in host.berth("network", "ls", "--format", "json").json() if x["meta"]["name"] == "wide" and x.get("used")]
    host.berth("network", "rm", "wide")
    host.berth("network", "create", "--subnet", "10.88.9.0/24", "--mtu", "1400", "thin")
    name, lease = takes(host, made, "--network", "thin")
    works(host, name, lease, mtu=1400)
    host.berth("rm", "-f", name)
    host.berth("network", "rm", "thin")


@pytest.mark.native
def test_the_first_of_two_networks_has_the_slot_and_a_group_limits_and_ports_are_as_asked(host):
    host.berth("network", "create", "--subnet", "10.88.0.0/24", "more")
    host.berth("security-group", "create", "--empty", "closed")
    name, lease = takes(host, filled(host), "--network", "default:sg=closed,rate-in=100mbit", "--network", "more", "-p", "8088:80")
    assert links(host, name) == {"lo", "eth0", "eth1"}
    assert not pings(host, name, "10.209.0.1") and link(lease["host_link"])["group"] != "default"
    assert "tbf" in sh("tc", "qdisc", "show", "dev", lease["host_link"])
    host.berth("security-group", "set", name, "eth0", "none", code=None)
    host.berth("rm", "-f", name)
    host.berth("security-group", "rm", "closed")
    host.berth("network", "rm", "more")


# ---------------------------------------------------------------- whatever dies

def shoot(host):
    """The spares. One that dies while a start has it fails that start, as every shim does: so berthd knows."""
    spares = host.spares()
    for pid in spares.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not set(spares) & set(os.listdir(host.run + "/shims")), "they are dead")


def gone(names):
    eventually(lambda: not [x for x in names if link(x)], "these slots are gone")


@pytest.mark.native
def test_mac_and_address_of_a_slot_stay_over_restart_and_kill_9_of_berthd(host):
    made = filled(host, "--network", "default")
    name, lease = takes(host, made)
    host.restart()
    host.wait_state(name, "running")
    gone(set(made) - {lease["host_link"]})
    works(host, name, lease)
    host.berth("restart", "-t", "0", name)
    assert host.inspect(name)["networks"][0] == lease
    works(host, name, lease)


@pytest.mark.native
@pytest.mark.parametrize("how", ["kill -9", "end", "upgrade"])
def test_slots_go_with_berthd_and_come_again_with_the_next(host, how):
    made = filled(host)
    if how == "upgrade":
        host.berth("upgrade")
        host.fds_at_start = None
    else:
        host.restart(signal.SIGKILL if how == "kill -9" else signal.SIGTERM)
    gone(made)
    takes(host, filled(host))


@pytest.mark.native
def test_slots_outlive_berth_net_and_go_with_their_shims(host):
    made = filled(host)
    os.kill(net_pid(host), signal.SIGKILL)
    host.berth("network", "create", "--subnet", "10.88.0.0/24", "more")      # by the next one, which has heard what should be
    host.berth("network", "rm", "more")
    assert {x: link(x)["ifindex"] for x in slots(host)} == made
    _, lease = takes(host, made)
    rest = set(slots(host))
    shoot(host)
    gone(rest)
    assert not rest & set(filled(host))


@pytest.mark.native
def test_a_slot_that_cannot_be_made_delays_nobody_and_leaves_nothing(host, between):
    between.kill_at("SlotPut")
    for _ in range(3):
        host.run_("--network", "default", "--", "true")
    eventually(lambda: between.deaths() >= 3 and len(host.spares()) == host.ask("info").get("spare_shims"), "spares without one")
    assert not slots(host) and "could not be made ahead" in host.log()
    name, lease = node(host, "--rm")
    works(host, name, lease[0])


@pytest.mark.native
@pytest.mark.parametrize("who", ["berthd", "berth-net", "spare"])
def test_whoever_dies_while_a_slot_is_being_made_leaves_nothing(host, between, who):
    between.hold_at("SlotPut")
    tool = host.popen("run", "--rm", "--network", "default", "busybox", "true")      # on a busy machine it waits behind that slot
    eventually(between.holds, "a slot is being made")
    if who == "berthd":
        host.restart()
    elif who == "berth-net":
        os.kill(net_pid(host), signal.SIGKILL)
    else:
        shoot(host)
    between.go_on()
    tool.communicate(timeout=60)
    takes(host, filled(host))


@pytest.mark.native
@pytest.mark.parametrize("who", ["berthd", "berth-net", "link"])
def test_whoever_dies_while_a_slot_is_being_finished_delays_the_start_alone(host, between, who):
    made = filled(host)
    between.hold_at("10.209.0.200")     # not as text: the address
    with open(between.late, "wb") as f:
        f.write(bytes([10, 209, 0, 200]))
    tool = host.popen("run", "-d", "--rm", "--name", "late", "--network", "default:ip=10.209.0.200", "busybox", "sleep", "600")
    eventually(between.holds, "its links are being finished")
    lease = host.inspect("late")["networks"][0]
    assert lease["host_link"] in made
    if who == "berthd":
        host.kill()
    elif who == "berth-net":
        os.kill(net_pid(host), signal.SIGKILL)
    else:
        sh("ip", "link", "del", lease["host_link"])
    between.go_on()
    if who == "berthd":
        host.start()
    out, err = tool.communicate(timeout=60)
    assert tool.returncode == 0, err
    host.wait_state("late", "running")
    works(host, "late", lease)
