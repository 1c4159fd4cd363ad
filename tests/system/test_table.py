"""What others do to our nftables table: it is put back at once, and nothing that is connected notices."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from host import eventually
from test_networks import addresses, inside, net_pid, node, outside, sh, table  # noqa: F401 (a fixture)

STREAM = ("import socket, sys, time\n"
          "s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10); s.settimeout(10); n = 0; print('up', flush=True)\n"
          "while True:\n s.sendall(b'%08d' % n); got = s.recv(8, socket.MSG_WAITALL)\n"
          " assert got == b'%08d' % n, got\n n += 1\n if n % 50 == 0: print(time.monotonic(), flush=True)\n")
ECHO = ("import socket, threading\ns = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True); print('up', flush=True)\n"
        "def serve(c):\n while True:\n  x = c.recv(99)\n  if not x: return\n  c.sendall(x)\n"
        "while True:\n threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()\n")


def test_berth_net_hears_of_refused_datagrams_though_the_one_before_it_has_not_ended_yet(host):
    name, _ = node(host)
    if "log group" not in sh("nft", "list", "chain", "inet", "berth", "refused"):
        pytest.skip("this kernel has no nfnetlink_log")
    host.berth("rm", "-f", name)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as s:       # NETLINK_NETFILTER
        bind = struct.pack("=BBH", 0, 0, socket.htons(48662)) + struct.pack("=HHBxxx", 5, 1, 1)
        def take():
            s.send(struct.pack("=IHHII", 16 + len(bind), 4 << 8 | 1, 5, 0, 0) + bind)
            return struct.unpack("=i", s.recv(99)[16:20])[0] == 0
        old = net_pid(host)
        os.kill(host.daemon.pid, signal.SIGSTOP)      # so that no other is there before we have it
        os.kill(old, signal.SIGKILL)
        try:
            eventually(take, "the one before it has it")
        finally:
            os.kill(host.daemon.pid, signal.SIGCONT)
        starting = threading.Thread(target=node, args=(host,))
        starting.start()

        def waits():
            new = net_pid(host)
            return new and new != old and "nanosleep" in open("/proc/%d/wchan" % new).read()
        try:
            eventually(waits, "the new one has found that somebody has it still")
        finally:
            s.close()
            starting.join()
        assert net_pid(host) != old and "log group" in sh("nft", "list", "chain", "inet", "berth", "refused")


class Stream:
    """Words that come back, one after the other, over one connection."""

    def __init__(self, address, port, before=()):
        self.p = subprocess.Popen([*before, "timeout", "300", "python3", "-c", STREAM, address, str(port)], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        assert self.p.stdout.readline() == "up\n", self.p.stderr.read()

    def goes_on(self):
        """Words that were sent after now: many of them, so not one that was on its way."""
        now, seen = time.monotonic(), 0
        while seen < 3:
            line = self.p.stdout.readline()
            assert line, "the connection broke: %s" % self.p.stderr.read()
            seen += float(line) > now

    def end(self):
        self.p.terminate()
        self.p.communicate()


@pytest.fixture
def streams(host, outside):  # noqa: F811
    """One of each way that a packet goes by our table: published from outside (both families), and between containers."""
    name, lease = node(host, "-p", "8080:80")
    other, _ = node(host)
    server = inside(host, name, ECHO)
    assert server.stdout.readline() == "up\n"
    eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")
    enter = ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]
    s = [Stream("192.0.2.1", 8080, outside.words()), Stream("2001:db8::1", 8080, outside.words()), Stream(addresses(lease)[0], 80, enter),
         Stream(addresses(lease)[1], 80, enter)]
    yield s
    for x in s:
        x.end()
    # Whoever is killed with a connection keeps the namespace for as long as the kernel tries to say so.
    eventually(lambda: not re.search("ESTAB|CLOSE-WAIT|LAST-ACK|FIN-WAIT", sh("nsenter", "-t", str(host.status(name)["pid"]), "-n", "ss", "-Htan")),
               "both ends of each connection are closed")
    server.terminate()


def whole(leases):
    """Our table as it should be, by what matters: each rule, and the port's elements."""
    text = table_or_nothing()
    return text.count("hook") and all(lease["host_link"] in text for lease in leases) and "masquerade" in text and "drop" in text and text


def table_or_nothing():
    return subprocess.run(["nft", "list", "table", "inet", "berth"], capture_output=True, text=True).stdout


def handles(kind):
    return [x[kind] for x in json.loads(sh("nft", "-j", "-a", "list", "table", "inet", "berth"))["nftables"] if kind in x]


def test_connections_go_on_over_a_flush_of_the_ruleset_and_the_table_is_put_back_by_itself(host, streams):
    before, pid = table(), net_pid(host)
    for is_away in (False, True, False):       # who puts it back: what lives until then lives however long that takes
        for s in streams:
            s.goes_on()
        if is_away:
            os.kill(pid, signal.SIGSTOP)
        sh("nft", "flush", "ruleset")
        for s in streams:
            s.goes_on()
        assert not is_away or not table_or_nothing()
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: table_or_nothing() == before, "the same table")
    assert "our nftables table was removed by nft" in host.log()


def test_the_link_that_has_the_gateways_is_put_back_by_itself_and_connections_go_on(host, streams):
    for s in streams:
        s.goes_on()
    def ways():
        """But for what is between the link and the kernel."""
        text = sh("ip", "route") + sh("ip", "-6", "route") + sh("ip", "addr", "show", "berth0")
        return {x.strip() for x in text.splitlines() if re.match(r" *(inet|10\.|fd|unreachable)", x) and "inet6 fe80" not in x}
    before = ways()
    sh("ip", "link", "del", "berth0")
    node(host)      # and what needs it at that moment is made
    for s in streams:
        s.goes_on()
    eventually(lambda: before <= ways(), lambda: "back are %s" % (before - ways()))
    assert "our link berth0 was removed: it is put back" in host.log()


def made(host, name, count):
    return lambda: host.log().count("the interface eth0 of container %s was removed by somebody: it is there again" % name) == count


@pytest.mark.parametrize("driver", ["routed", "bridge"])
def test_an_interface_of_which_somebody_removes_an_end_is_made_again_in_the_container_that_runs_and_connections_go_on(host, outside, driver):  # noqa: F811
    host.berth("network", "create", "-d", driver, "--subnet", "10.85.0.0/24", "--subnet", "fd00:85::/64", "mine")
    name, _ = node(host, "-p", "8080:80", network="mine")
    lease = host.inspect(name)["networks"][0]
    server = inside(host, name, ECHO)
    assert server.stdout.readline() == "up\n"
    enter = ["nsenter", "-t", str(host.status(name)["pid"]), "-n"]

    def looks():
        return (re.sub(r"(\d+: |@if\d+|link-netnsid \d+| tentative)", "", sh(*enter, "ip", "-d", "addr", "show", "eth0")), sorted(sh(*enter, "ip", "route").splitlines()),
                sorted(sh(*enter, "ip", "-6", "route").splitlines()))
    before = looks()
    streams = [Stream(ip, 80) for ip in addresses([lease])] + [Stream("192.0.2.1", 8080, outside.words())]
    sh("ip", "link", "del", lease["host_link"])
    for s in streams:
        s.goes_on()
    eventually(made(host, name, 1), "it is told")
    eventually(lambda: looks() == before, lambda: "it looks as before:\n%s\n%s" % (looks(), before))     # the kernel says UP a moment later
    assert host.inspect(name)["networks"][0] == lease
    sh(*enter, "ip", "link", "del", "eth0")
    eventually(made(host, name, 2), "from inside too")
    pid = net_pid(host)         # and while nobody hears of it
    os.kill(pid, signal.SIGSTOP)
    sh("ip", "link", "del", lease["host_link"])
    os.kill(pid, signal.SIGKILL)
    eventually(made(host, name, 3), "by the next berth-net")
    if driver == "bridge":
        sh("ip", "link", "del", re.search(r"master (\S+)", sh("ip", "link", "show", lease["host_link"]))[1])
    for s in streams:
        s.goes_on()
        s.end()
    eventually(lambda: looks() == before, lambda: "it looks as before:\n%s\n%s" % (looks(), before))
    eventually(lambda: not re.search("ESTAB|CLOSE-WAIT|LAST-ACK|FIN-WAIT", sh(*enter, "ss", "-Htan")), "both ends of each connection are closed")
    server.terminate()
    server.communicate()


@pytest.mark.native
def test_what_must_not_pass_does_not_pass_again_after_a_flush(host, outside):  # noqa: F811
    a, la = node(host)
    b, _ = node(host, "--cap-add", "NET_ADMIN")
    host.berth("network", "create", "--subnet", "10.85.0.0/24", "walled")
    c, _ = node(host, network="walled")
    before = table()
    sh("nft", "flush", "ruleset")
    eventually(lambda: table_or_nothing() == before, "the same table")
    outside.ways("10.209.0.0/16")
    assert not outside.pings(addresses(la)[0])
    assert host.berth("exec", c, "ping", "-c", "1", "-W", "1", addresses(la)[0], code=None).code
    host.berth("exec", b, "ip", "addr", "add", "10.209.99.99/32", "dev", "eth0")
    assert host.berth("exec", b, "ping", "-c", "1", "-W", "1", "-I", "10.209.99.99", addresses(la)[0], code=None).code


@pytest.mark.parametrize("what", ["table", "rule", "chain", "element", "added"])
def test_each_kind_of_change_by_others_is_undone(host, what):
    _, (lease,) = node(host)
    before = table()
    if what == "table":
        sh("nft", "delete", "table", "inet", "berth")
    elif what == "rule":
        r = next(r for r in handles("rule") if r["chain"] == "guard")
        sh("nft", "delete", "rule", "inet", "berth", "guard", "handle", str(r["handle"]))
    elif what == "chain":
        sh("nft", "flush", "chain", "inet", "berth", "forward")
    elif what == "element":
        sh("nft", "flush", "set", "inet", "berth", "own4")
    else:
        sh("nft", "insert", "rule", "inet", "berth", "guard", "accept")
    eventually(lambda: table_or_nothing() == before, "the same table")


@pytest.mark.native
def test_our_own_changes_and_those_of_foreign_tables_put_nothing_back_and_foreign_tables_stay(host):
    node(host)
    handle, said = handles("table")[0]["handle"], host.log().count("our nftables table was")
    sh("nft", "add table inet foreign; add chain inet foreign c { type filter hook forward priority 10; policy accept; }; add rule inet foreign c counter")
    for _ in range(5):
        name, _ = node(host)
        sh("nft", "add", "rule", "inet", "foreign", "c", "counter")
        host.berth("rm", "-f", name)
    assert sh("nft", "list", "table", "inet", "foreign").count("counter") == 6 and handles("table")[0]["handle"] == handle
    assert host.log().count("our nftables table was") == said
    sh("nft", "delete", "table", "inet", "berth")
    eventually(lambda: "hook" in table_or_nothing(), "put back")
    assert sh("nft", "list", "table", "inet", "foreign").count("counter") == 6
    sh("nft", "delete", "table", "inet", "foreign")


@pytest.mark.native
def test_somebody_who_flushes_all_the_time_is_answered_less_and_less_often_and_the_table_is_there_in_the_end(host):
    node(host)
    before, said, began = table(), host.log().count("our nftables table was"), time.monotonic()
    for _ in range(100):
        subprocess.run(["nft", "delete", "table", "inet", "berth"], capture_output=True)
    eventually(lambda: table_or_nothing() == before, "the table", 20)
    # Eleven times until it is once in five seconds.
    assert 0 < host.log().count("our nftables table was") - said < 15 + (time.monotonic() - began) / 5
