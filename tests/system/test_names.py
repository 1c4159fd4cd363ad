"""Names of containers, as the resolvers of two libcs find them from inside (getent of glibc, a program of musl's), and as packets that the
test itself makes in a container's network namespace."""

import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import threading

import pytest

from conftest import private_host
from host import SLOW, eventually, processes
from oci import Image, busybox_entries, layer
from test_networks import node, sh

BIN = os.environ.get("BERTH_BIN", "build")


def libraries(program):
    """What a dynamic program needs, by path."""
    words = [w for line in sh("ldd", program).splitlines() for w in line.split() if w.startswith("/")]
    return {w for w in words if os.path.exists(w)}


@pytest.fixture
def image(host):
    """busybox with glibc's resolver."""
    if "names" not in host.berth("image", "ls").out:
        entries = busybox_entries("/bin/busybox", os.path.join(BIN, "guest"))
        for path in {"/usr/bin/getent"} | libraries("/usr/bin/getent"):
            folder = ""
            for part in path.strip("/").split("/")[:-1]:
                folder = folder + "/" + part if folder else part
                entries.setdefault(folder, None)
            with open(path, "rb") as f:
                entries[path.strip("/")] = f.read()
        with open(os.path.join(BIN, "resolve"), "rb") as f:
            entries["bin/resolve"] = f.read()
        entries["etc/nsswitch.conf"] = b"hosts: files dns\n"
        folder = os.path.join(host.state, "names-layout")
        Image("names", [layer(entries)], {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]}).write_layout(folder)
        host.berth("image", "import", folder)
    return "names"


def run(host, image, name=None, *flags, network="default"):
    """A container that sleeps; its name and its first interface's addresses."""
    name = name or host.name()
    host.berth("run", "-d", "--name", name, *(("--network", network) if network else ()), *flags, image, "sleep", "1000")
    leases = host.inspect(name).get("networks")
    return name, leases[0]["addresses"] if leases else []


def finds(host, who, what, database="ahosts"):
    """Addresses as getent finds them; none when it does not."""
    out = host.berth("exec", who, "getent", database, what, code=None).out
    return sorted({line.split()[0] for line in out.splitlines()})


def musl_finds(host, who, what):
    return sorted(set(host.berth("exec", who, "resolve", what, code=None).out.split()))


def packet(name, kind=1, ident=None, more=b""):
    head = struct.pack(">HHHHHH", random.randrange(65536) if ident is None else ident, 0x100, 1, 0, 0, 1 if more else 0)
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x)
    return head + labels + b"\0" + struct.pack(">HH", kind, 1) + more


ASK = ("import socket, sys\nserver, kind, data = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])\n"
       "s = socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)\n"
       "s.settimeout(float(sys.argv[4]))\ns.connect((server, 53))\n"
       "try:\n"
       " if kind == 'tcp':\n"
       "  s.sendall(len(data).to_bytes(2, 'big') + data)\n"
       "  x = b''\n"
       "  while len(x) < 2 or len(x) < 2 + int.from_bytes(x[:2], 'big'):\n"
       "   y = s.recv(70000)\n"
       "   if not y: break\n"
       "   x += y\n"
       "  print(x[2:].hex())\n"
       " else:\n"
       "  s.send(data); print(s.recv(70000).hex())\n"
       "except OSError: print('')\n")


def ask(host, who, data, server="10.209.0.1", kind="udp", seconds=3):
    """The answer to a packet from a container's network namespace (who None: from the host's); b"": none."""
    words = ["nsenter", "-t", str(host.status(who)["pid"]), "-n"] if who else []
    out = subprocess.run([*words, "python3", "-c", ASK, server, kind, data.hex(), str(seconds * SLOW)], capture_output=True, text=True).stdout
    return bytes.fromhex(out.strip())


def rcode(answer):
    return answer[3] & 15


def addresses_in(answer):
    """What the A and AAAA records of an answer say, whose names are pointers."""
    at = answer.index(b"\0", 12) + 5
    found = []
    for _ in range(struct.unpack(">H", answer[6:8])[0]):
        kind, _, _, size = struct.unpack(">HHIH", answer[at + 2:at + 12])
        data = answer[at + 12:at + 12 + size]
        if kind in (1, 28):
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
        at += 12 + size
    return found


class Upstream:
    """A name server on the loopback: www.example.org is 192.0.2.80; long.example.org does not fit into a packet; mute.example.org gets no answer."""

    def __init__(self, address="127.77.0.53"):
        sh("ip", "link", "set", "lo", "up")
        self.address, self.seen, self.done = address, [], False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for s in (self.udp, self.tcp):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, 53))
            s.settimeout(0.1)
        self.tcp.listen()
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.serve_udp, self.serve_tcp)]
        for t in self.threads:
            t.start()

    def answer(self, q, tcp):
        end = q.index(b"\0", 12) + 5
        name, at = [], 12
        while q[at]:
            name.append(q[at + 1:at + 1 + q[at]].decode())
            at += 1 + q[at]
        name = ".".join(name).lower()
        kind = struct.unpack(">H", q[end - 4:end - 2])[0]
        self.seen.append((name, kind, struct.unpack(">H", q[:2])[0], tcp, q[end:]))
        if name == "mute.example.org":
            return None
        n = 0 if kind != 1 else {"www.example.org": 1, "long.example.org": 60}.get(name, 0)
        cut = n > 25 and not tcp
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 192, 0, 2, 80 + i) for i in range(0 if cut else n))
        known = name in ("www.example.org", "long.example.org")
        head = q[:2] + bytes([0x81 | (2 if cut else 0), 0x80 | (0 if known else 3)]) + struct.pack(">HHHH", 1, 0 if cut else n, 0, 0)
        return head + q[12:end] + records

    def serve_udp(self):
        while not self.done:
            try:
                q, who = self.udp.recvfrom(4096)
            except TimeoutError:
                continue
            self.port = who[1]
            a = self.answer(q, False)
            if a:
                self.udp.sendto(b"\0\0" + a[2:], who)       # a forged one, that guessed the port
                self.udp.sendto(a, who)

    def serve_tcp(self):
        while not self.done:
            try:
                c, _ = self.tcp.accept()
            except TimeoutError:
                continue
            with c:
                c.settimeout(5)
                size = int.from_bytes(c.recv(2), "big")
                a = self.answer(c.recv(size), True)
                c.sendall(len(a).to_bytes(2, "big") + a)

    def names(self):
        return [x[0] for x in self.seen]

    def end(self):
        self.done = True
        for t in self.threads:
            t.join()
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def upstream():
    u = Upstream()
    yield u
    u.end()


def dns_pids(host):
    return [int(x) for x in subprocess.run(["pgrep", "-x", "-P", str(host.daemon.pid), "berth-dns"], capture_output=True, text=True).stdout.split()]


# ---------------------------------------------------------------- names of each other

def test_containers_find_each_other_by_name_hostname_uuid_and_alias_on_v4_and_v6(host, image):
    a, mine = run(host, image, None, "--hostname", "anna.example")
    b, other = run(host, image, "web", network="default:alias=front,alias=www")
    short = host.inspect(b)["meta"]["uuid"].replace("-", "")[:12]
    for name in ("web", "WEB", "front", "www", short, "web.default", "web.berth.internal", "front.default.berth.internal"):
        assert finds(host, a, name) == sorted(other), name
    assert finds(host, b, "anna.example") == sorted(mine) and finds(host, b, a) == sorted(mine)
    for name in ("web", "front"):
        assert musl_finds(host, a, name) == sorted(other), name
    assert musl_finds(host, b, "anna.example") == sorted(mine)
    for address in other:
        assert host.berth("exec", a, "getent", "hosts", address).out.split() == [address, "web.default.berth.internal"]
    assert finds(host, a, "nobody") == [] and finds(host, a, "nobody.berth.internal") == []


def test_names_of_other_networks_and_of_other_projects_are_not_found(host, image):
    host.berth("network", "create", "--subnet", "10.85.0.0/24", "back")
    web, _ = run(host, image, "web")
    db, la = run(host, image, "db", network="back")
    both = host.name()
    host.berth("run", "-d", "--name", both, "--network", "default", "--network", "back", image, "sleep", "1000")
    assert finds(host, web, "db") == [] and finds(host, db, "web") == []
    assert finds(host, both, "db") == la and finds(host, both, "web") != []
    assert finds(host, db, both) == host.inspect(both)["networks"][1]["addresses"]     # the address that it can reach
    secret = host.token("shop")
    with host.api(secret) as c:
        uuid = c.request("container_create", {"name": "web", "start": True, "spec": {
            "image": image, "command": ["sleep", "1000"], "networks": [{"network": "default"}]}})[0]["container"]["meta"]["uuid"]
    theirs = host.inspect(uuid)["networks"][0]["addresses"]
    host.wait_state(uuid, "running")
    assert finds(host, both, "web") == sorted(host.inspect(web)["networks"][0]["addresses"])
    assert finds(host, uuid, "web") == sorted(theirs)
    assert finds(host, uuid, both) == []
    reverse = ".".join(reversed(theirs[0].split("."))) + ".in-addr.arpa"
    assert rcode(ask(host, both, packet(reverse, 12))) == 3


@pytest.mark.native
def test_a_name_comes_and_goes_with_what_has_it_and_follows_a_rename(host, image):
    a, _ = run(host, image)
    for _ in range(5):      # no moment between: who hears that it runs finds it, who hears that it ended does not
        _, other = run(host, image, "web")
        assert addresses_in(ask(host, a, packet("web"))) == other[:1]
        host.berth("rename", "web", "shop")
        assert addresses_in(ask(host, a, packet("shop"))) == other[:1] and rcode(ask(host, a, packet("web.berth.internal"))) == 3
        host.berth("stop", "-t", "0", "shop")
        assert rcode(ask(host, a, packet("shop.berth.internal"))) == 3
        host.berth("start", "shop")
        assert addresses_in(ask(host, a, packet("shop"))) == other[:1]
        host.berth("rm", "-f", "shop")
        assert rcode(ask(host, a, packet("shop.berth.internal"))) == 3


@pytest.mark.native
def test_containers_of_a_pod_and_the_pod_are_found_by_their_names(host, image):
    host.berth("pod", "create", "--network", "default", "--hostname", "hull", "ship")
    for name in ("bow", "stern"):
        host.berth("run", "-d", "--pod", "ship", "--name", name, image, "sleep", "1000")
    a, _ = run(host, image)
    pod, = host.berth("pod", "inspect", "ship").json()
    for name in ("ship", "hull", "bow", "stern"):
        assert finds(host, a, name) == sorted(pod["networks"][0]["addresses"]), name
        assert finds(host, "bow", name) != []
    assert finds(host, "bow", a) == sorted(host.inspect(a)["networks"][0]["addresses"])
    host.berth("rm", "-f", "bow")
    assert finds(host, a, "bow") == [] and finds(host, a, "stern") != []


# ---------------------------------------------------------------- names of the rest

def test_other_names_are_asked_of_the_networks_servers_by_udp_and_tcp_and_forged_answers_are_not_taken(host, image, upstream):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--subnet", "fd00:86::/64", "--dns", upstream.address, "--dns-search", "example.org", "out")
    a, _ = run(host, image, network="out")
    assert finds(host, a, "www.example.org") == ["192.0.2.80"] and musl_finds(host, a, "www.example.org") == ["192.0.2.80"]
    assert finds(host, a, "www") == ["192.0.2.80"]
    assert len(finds(host, a, "long.example.org", "ahostsv4")) == 60     # cut in a packet, whole by TCP
    assert {tcp for name, _, _, tcp, _ in upstream.seen if name == "long.example.org"} == {False, True}
    assert finds(host, a, "nowhere.example.org") == []
    assert not [n for n in upstream.names() if "berth.internal" in n or n == a]
    for server in ("10.86.0.1", "fd00:86::1"):
        for kind in ("udp", "tcp"):
            answer = ask(host, a, packet("www.example.org", ident=77), server, kind)
            assert answer[:2] == b"\0M" and addresses_in(answer) == ["192.0.2.80"], (server, kind)
    asked = {(ident, port) for _, _, ident, _, _ in upstream.seen for port in (0,)}
    assert len(asked) > 5       # numbers of its own, not the asker's 77
    opt = b"\0" + struct.pack(">HHIH", 41, 4096, 0, 0)
    assert rcode(ask(host, a, packet("www.example.org", more=opt), "10.86.0.1")) == 0
    assert upstream.seen[-1][4] == opt      # EDNS goes through as it came


@pytest.mark.native
def test_a_server_that_is_mute_is_followed_by_the_next_and_names_of_containers_do_not_wait_for_either(host, image, upstream):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--dns", "127.77.0.99", "--dns", upstream.address, "out")
    a, mine = run(host, image, network="out")
    assert addresses_in(ask(host, a, packet("www.example.org"), "10.86.0.1", seconds=8)) == ["192.0.2.80"]     # nobody listens at the first
    pid = host.status(a)["pid"]
    waiting = [subprocess.Popen(["nsenter", "-t", str(pid), "-n", "python3", "-c", ASK, "10.86.0.1", kind, packet("mute.example.org").hex(), "30"],
                                stdout=subprocess.PIPE, text=True) for kind in ("udp", "udp")]
    eventually(lambda: "mute.example.org" in upstream.names(), "it is asked")
    assert addresses_in(ask(host, a, packet(a), "10.86.0.1")) == mine
    for p in waiting:
        assert rcode(bytes.fromhex(p.communicate(timeout=60)[0].strip())) == 2      # SERVFAIL in the end, and not never


@pytest.mark.native
def test_in_an_internal_network_there_are_names_of_containers_and_no_others(host, image, upstream):
    host.berth("network", "create", "--internal", "--subnet", "10.87.0.0/24", "--dns", upstream.address, "in")
    a, mine = run(host, image, network="in")
    assert finds(host, a, a) == mine
    assert rcode(ask(host, a, packet("www.example.org"), "10.87.0.1")) == 3 and upstream.seen == []


def test_only_containers_are_answered(host, image):
    a, _ = run(host, image)
    assert ask(host, a, packet(a)) != b""
    assert ask(host, None, packet(a), seconds=0.3) == b""       # the host itself, and with it whoever has an address of the outside
    assert ask(host, None, packet(a), kind="tcp", seconds=0.3) == b""


@pytest.mark.native
@pytest.mark.parametrize("data, code", [(b"", None), (b"\0" * 11, None), (packet("x", ident=7)[:-1], 1), (b"\xff" * 600, None), (b"ab\x81" + b"\0" * 500, None),
                                        (b"ab\x20\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1", 4), (b"ab\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 1)])
def test_what_is_no_question_does_no_harm(host, image, data, code):
    a, mine = run(host, image)
    answer = ask(host, a, data, seconds=0.3 if code is None else 3)
    assert answer == b"" if code is None else answer[:2] == data[:2] and rcode(answer) == code
    assert addresses_in(ask(host, a, packet(a))) == mine[:1]
    assert len(dns_pids(host)) == 1


# ---------------------------------------------------------------- resolv.conf

def kept(host, who, path="/etc/resolv.conf"):
    """What it says, behind the line by which berth knows it again."""
    first, _, rest = host.berth("exec", who, "cat", path).out.partition("\n")
    assert first.startswith("# kept by berth until somebody edits it: "), first
    return rest


@pytest.fixture
def resolv(host):
    """The host's resolv.conf, put back afterwards."""
    yield pathlib.Path(host.resolv_conf)
    os.unlink(host.resolv_conf)
    with open(host.resolv_conf, "w") as f:
        f.write("nameserver 127.77.0.1\n")


@pytest.mark.native
def test_resolv_conf_names_the_gateways_and_what_the_host_asks_is_followed(host, resolv, tmp_path):
    one, two = Upstream("127.77.0.53"), Upstream("127.77.0.54")
    a, _ = node(host)

    def asked(server):
        n = len(server.seen)
        ask(host, a, packet("www.example.org"), seconds=1)
        return len(server.seen) > n
    try:
        real = tmp_path / "stub.conf"
        real.write_text("nameserver 127.77.0.53\nsearch corp.example\noptions edns0\n")
        new = resolv.with_suffix(".new")            # a link to what is elsewhere, as systemd-resolved has it
        new.symlink_to(real)
        new.rename(resolv)
        eventually(lambda: asked(one) and not asked(two), "whom the host asks is asked")
        b, _ = node(host)
        assert kept(host, b) == "search berth.internal corp.example\nnameserver 10.209.0.1\noptions edns0\n"
        other = real.with_suffix(".new")            # where the link leads is replaced
        other.write_text("nameserver 127.77.0.54\n")
        other.rename(real)
        eventually(lambda: asked(two) and not asked(one), "the new server is asked")
        new.write_text("nameserver 127.77.0.53\n")  # the link itself, as NetworkManager does
        new.rename(resolv)
        eventually(lambda: asked(one) and not asked(two), "the first one is asked again")
        resolv.write_text("nameserver 127.77.0.54\n")
        eventually(lambda: asked(two) and not asked(one), "written in place")
    finally:
        one.end()
        two.end()


@pytest.mark.native
def test_a_networks_servers_are_changed_for_those_that_run_and_files_that_were_edited_stay(host, image, upstream):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "out")
    a, _ = run(host, image, network="out")
    b, _ = run(host, image, network="out")
    c, _ = run(host, image, None, "--userns", "auto", network="out")
    host.berth("exec", b, "sh", "-c", "echo '# mine' >> /etc/resolv.conf")
    edited = host.berth("exec", b, "cat", "/etc/resolv.conf").out
    assert finds(host, a, "www.example.org") == []
    host.berth("network", "update", "--dns", upstream.address, "--dns-search", "example.org", "out")
    assert finds(host, a, "www.example.org") == ["192.0.2.80"]      # at once
    for who in (a, c):
        eventually(lambda: kept(host, who) == "search berth.internal example.org\nnameserver 10.86.0.1\n", "its domains too")
    assert finds(host, a, "www") == ["192.0.2.80"] and finds(host, c, "www") == ["192.0.2.80"]
    host.restart()
    assert host.berth("network", "inspect", "out").json()[0]["dns"] == [upstream.address]
    host.berth("network", "update", "--dns-search", "", "--dns", "", "out")
    eventually(lambda: kept(host, a) == "search berth.internal\nnameserver 10.86.0.1\n", "as it was")
    assert host.berth("exec", b, "cat", "/etc/resolv.conf").out == edited
    for flags, text in ((("--dns", "one"), "'one' is not an IP address"), (("--dns-search", "a b"), "'a b' is not a domain"),
                        (("--dns", "::1") * 4, "at most 3"), ((), "--dns or --dns-search is missing")):
        host.refused("network", "update", *flags, "out", text=text, code=None)
    assert host.berth("network", "inspect", "out").json()[0]["dns"] == []


@pytest.mark.native
def test_names_hosts_and_resolv_conf_follow_networks_that_come_and_go(host, image):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "red")
    a, _ = run(host, image, None, "--hostname", "anna", network=None)
    edited, _ = run(host, image, None, network=None)
    other, lo = run(host, image)
    red, lr = run(host, image, network="red")
    host.berth("exec", edited, "sh", "-c", "echo '# mine' >> /etc/hosts")
    host.berth("network", "connect", "default", edited)
    host.berth("network", "connect", "default", a)
    mine = host.inspect(a)["networks"][0]["addresses"]
    assert finds(host, other, "anna") == sorted(mine)       # at once
    eventually(lambda: "nameserver 10.209.0.1\n" in kept(host, a), "whom to ask")
    eventually(lambda: set(x + "\tanna" for x in mine) < set(kept(host, a, "/etc/hosts").splitlines()), "its addresses")
    assert finds(host, a, other) == sorted(lo) and finds(host, a, red) == []
    host.berth("network", "connect", "red", a)
    assert finds(host, a, red) == lr and finds(host, red, "anna") == host.inspect(a)["networks"][1]["addresses"]
    eventually(lambda: kept(host, a).count("nameserver") == 2, "both are asked")
    host.berth("network", "disconnect", "default", a)
    assert finds(host, other, "anna") == [] and finds(host, red, "anna") != []
    eventually(lambda: "10.209.0.1" not in kept(host, a) and mine[0] not in kept(host, a, "/etc/hosts"), "nothing of it is left")
    assert finds(host, a, red) == lr and finds(host, a, other) == []
    assert "# mine" in host.berth("exec", edited, "cat", "/etc/hosts").out
    eventually(lambda: "nameserver 10.209.0.1\n" in kept(host, edited), "the one, not the other")


# ---------------------------------------------------------------- which addresses

def test_addresses_come_from_the_range_and_not_from_what_is_somebody_elses(host):
    host.berth("network", "create", "--subnet", "10.88.0.0/24", "--gateway", "10.88.0.254", "--ip-range", "10.88.0.4/30", "--aux-address", "router=10.88.0.5",
               "--subnet", "fd00:88::/64", "--ip-range", "fd00:88::100/126", "lab")
    got = [node(host, network="lab")[1][0]["addresses"] for _ in range(3)]
    assert [x[0] for x in got] == ["10.88.0.4", "10.88.0.6", "10.88.0.7"]
    assert [x[1] for x in got] == ["fd00:88::100", "fd00:88::101", "fd00:88::102"]
    host.refused("run", "--network", "lab", "busybox", "true", text="every address of 10.88.0.4/30 of network lab is taken", code=125)
    _, lease = node(host, network="lab:ip=10.88.0.80,ip6=fd00:88::80")     # by name, and outside of the range
    assert lease[0]["addresses"] == ["10.88.0.80", "fd00:88::80"]
    host.refused("run", "--network", "lab:ip=10.88.0.5", "busybox", "true", text="10.88.0.5 is kept for somebody else", code=125)
    for flags, text in ((("--ip-range", "10.90.0.0/24"), "does not lie inside"), (("--ip-range", "fd00::/126"), "does not lie inside"),
                        (("--ip-range", "10.89.0.1/30"), "bits behind"), (("--aux-address", "10.89.0.0"), "not a usable address"),
                        (("--aux-address", "x=y"), "not a usable address")):
        host.refused("network", "create", "--subnet", "10.89.0.0/24", *flags, "bad", text=text, code=2)
    host.refused("network", "create", "--ip-range", "10.89.0.0/28", "--subnet", "10.89.0.0/24", "bad", text="behind the --subnet", code=2)


@pytest.mark.native
def test_kill_9_of_berthd_during_creates_at_once_gives_no_address_twice_and_loses_none(host):
    host.berth("network", "create", "--subnet", "10.88.0.0/26", "--subnet", "fd00:88::/64", "small")
    ended = []
    for round in range(3):
        tools = [host.popen("create", "--network", "small", "busybox", "true") for _ in range(12)]
        eventually(lambda: len(host.list()) > 12 * round, "some are made")
        host.restart()
        ended += [p.communicate(timeout=60 * SLOW)[0] or p.returncode for p in tools]
    leases = [x["networks"][0]["addresses"] for x in map(lambda c: host.inspect(c["meta"]["uuid"]), host.list())]
    for family in (0, 1):
        assert len({x[family] for x in leases}) == len(leases)
    assert len(leases) >= len([x for x in ended if isinstance(x, bytes)])       # who was answered has one
    for c in host.list():
        host.berth("rm", "-f", c["meta"]["uuid"])
    got = [node(host, network="small")[1][0]["addresses"][0] for _ in range(3)]     # what they had is free again
    assert len(set(got)) == 3


# ---------------------------------------------------------------- faults

def test_names_are_answered_while_berthd_is_dead_and_while_the_next_one_comes(host, image):
    a, mine = run(host, image)
    b, other = run(host, image)
    before, = dns_pids(host)
    answered, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            answered.append(addresses_in(asker.ask(packet(b))))

    asker = Asker(host, a)
    t = threading.Thread(target=look)
    t.start()
    try:
        host.kill()
        n = len(answered)
        eventually(lambda: len(answered) > n + 20, "answers of one that is alone")
        host.start()
        eventually(lambda: dns_pids(host) not in ([], [before]), "the next one's")
        eventually(lambda: processes().get(before, "Z")[0] == "Z", "the earlier one has gone")
        n = len(answered)
        eventually(lambda: len(answered) > n + 20, "answers of the new one")
    finally:
        stop.set()
        t.join()
        asker.end()
    assert [x for x in answered if x != other[:1]] == []       # not one that was lost, or was no
    _, third = run(host, image, "third")
    assert finds(host, a, "third") == sorted(third)


@pytest.mark.native
def test_names_are_answered_while_berthd_is_upgraded(host, image):
    a, _ = run(host, image)
    b, other = run(host, image)
    before, = dns_pids(host)
    asker, answered = Asker(host, a), []
    try:
        host.berth("upgrade")
        while dns_pids(host) in ([], [before]) or len(answered) < 50:
            answered.append(addresses_in(asker.ask(packet(b))))
        eventually(lambda: before not in dns_pids(host), "the earlier one has gone")
    finally:
        asker.end()
    assert [x for x in answered if x != other[:1]] == []


def test_berth_dns_killed_is_started_again_and_knows_everything(host, image):
    a, mine = run(host, image)
    b, other = run(host, image)
    for _ in range(3):
        pid, = dns_pids(host)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: dns_pids(host) not in ([], [pid]), "another one")
        eventually(lambda: finds(host, a, b) == sorted(other), "names are found again")


@pytest.mark.native
def test_a_gateways_port_that_another_program_has_is_said_and_listened_on_when_it_is_free(host, image):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_IP, 15, 1)      # IP_FREEBIND
        s.bind(("10.87.0.1", 53))
        host.berth("network", "create", "--subnet", "10.87.0.0/24", "red")
        a, _ = run(host, image, network="red")      # it runs, without names
        b, other = run(host, image, network="red")
        eventually(lambda: "nobody hears its containers' questions at 10.87.0.1, port 53" in host.log(), "it says so")
        c, _ = run(host, image)
        d, there = run(host, image)
        assert finds(host, c, d) == sorted(there), "the other networks' are not disturbed"
    eventually(lambda: finds(host, a, b) == other, "names are found")


@pytest.mark.native
def test_a_berth_dns_that_cannot_live_is_started_again_with_pauses(tmp_path):
    starts = tmp_path / "starts"
    (tmp_path / "dns").write_text("#!/bin/sh\ndate +%%s.%%N >> %s\n" % starts)
    (tmp_path / "dns").chmod(0o755)
    (tmp_path / "conf").write_text("dns_path = %s\n" % (tmp_path / "dns"))
    with private_host(options=["--config", str(tmp_path / "conf")]) as h:
        h.berth("create", "--network", "default", "busybox", "true")       # has a lease; started it would need a berth-net, of which the other berthd has one
        eventually(lambda: starts.exists() and len(starts.read_text().split()) > 8, "tried again and again", 30)
        times = [float(x) for x in starts.read_text().split()]
        assert times[8] - times[0] > 8 * 0.09


class Asker:
    """Asks again and again from one namespace, by one socket for each question."""

    PROGRAM = ("import socket, sys\n"
               "for line in sys.stdin:\n"
               " s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(4)\n"
               " try:\n"
               "  s.connect(('10.209.0.1', 53)); s.send(bytes.fromhex(line)); print(s.recv(9999).hex(), flush=True)\n"
               " except OSError as e: print('00' * 17, flush=True)\n"
               " s.close()\n")

    def __init__(self, host, who):
        self.process = subprocess.Popen(["nsenter", "-t", str(host.status(who)["pid"]), "-n", "python3", "-c", self.PROGRAM], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, data):
        self.process.stdin.write(data.hex() + "\n")
        return bytes.fromhex(self.process.stdout.readline().strip())

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
