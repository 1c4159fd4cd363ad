"""Published ports: what they lead to, who may have them, what is said of them, and what a firewall of the host makes of them."""

import contextlib
import re
import socket
import subprocess

import pytest

from conftest import busybox_image
from host import DIR, eventually
from test_names import addresses_in, ask as ask_name, packet, rcode
from test_networks import SERVER, addresses, ask, inside, node, outside, sh  # noqa: F401 (a fixture)
from test_security_groups import SCTP

SERVE_MANY = ("import socket, sys, threading\nss = [socket.create_server(('::', int(p)), family=socket.AF_INET6, dualstack_ipv6=True) for p in sys.argv[1:]]\n"
              "def serve(s):\n while True:\n  c, _ = s.accept(); c.sendall(b'%d' % s.getsockname()[1]); c.close()\n"
              "for s in ss: threading.Thread(target=serve, args=(s,)).start()\nprint('up', flush=True)\n")


@contextlib.contextmanager
def serving(host, name, ports=()):
    """Something listens in the container: at 80 of TCP and UDP, or at these, where it says its number."""
    pid = str(host.status(name)["pid"])
    words = [SERVE_MANY, *map(str, ports)] if ports else [SERVER]
    p = subprocess.Popen(["nsenter", "-t", pid, "-n", "timeout", "300", "python3", "-c", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "up\n"
        yield
    finally:
        p.terminate()
        p.communicate()


@contextlib.contextmanager
def listening(kind, address, port):
    p = subprocess.Popen(["timeout", "300", "python3", "-c", "import socket, time\ns = socket.socket(socket.AF_INET6 if ':' in '%s' else socket.AF_INET, %d)\n"
                          "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('%s', %d))\n%s\nprint('up', flush=True); time.sleep(299)"
                          % (address, kind, address, port, "s.listen()" if kind == 1 else "")], stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "up\n"
        yield p
    finally:
        p.terminate()
        p.communicate()


@pytest.mark.native
def test_ranges_lead_port_by_port_and_nowhere_beside_on_v4_and_v6(host, outside):  # noqa: F811
    name, _ = node(host, "-p", "7000-7003:80-83", "-p", "192.0.2.1:7100-7101:90-91", "-p", "9000:9000/sctp")
    with serving(host, name, [80, 81, 82, 83, 84, 90, 91]):
        eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")
        for ip in ("192.0.2.1", "2001:db8::1"):
            assert [ask(ip, 7000 + i, 1, outside.words()) for i in range(5)] == ["80", "81", "82", "83", "nothing"]
        assert [ask("192.0.2.1", 7100 + i, 1, outside.words()) for i in range(3)] == ["90", "91", "nothing"]
        assert ask("2001:db8::1", 7100, 1, outside.words()) == "nothing" and ask("127.0.0.1", 7001) == "81"
        for before in ((), outside.words(), ["nsenter", "-t", str(host.status(name)["pid"]), "-n"]):    # the last is the container itself
            assert ask("192.0.2.1", 7002, 1, before) == "82"
    assert "132 . 9000" in re.sub(r"\bsctp\b", "132", sh("nft", "list", "map", "inet", "berth", "to4"))


def test_a_published_port_of_sctp_is_reached_from_outside(host, outside):  # noqa: F811
    name, _ = node(host, "-p", "9000:1000/sctp")
    program = SCTP + """
import os, socket, struct, sys
listens, ip = sys.argv[1:]
six = ":" in ip
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 132)
s.settimeout(1)
print("up", flush=True)
for i in range(20):
    if listens == "no":
        s.sendto(sctp(4711, 9000, 0, 1), (ip, 0))
    try:
        data, who = s.recvfrom(2000)
    except TimeoutError:
        continue
    data = data if six else data[20:]
    source, port = struct.unpack("!HH", data[:4])
    if data[12] == 1 and listens == "yes":
        s.sendto(sctp(port, source, int.from_bytes(data[16:20], "big"), 2), (who[0], 0))
    if data[12] == 1:
        print("asked at", port, flush=True)
    if data[12] == 2:
        print("answered by", who[0], source, flush=True)
        break
"""
    for ip in ("192.0.2.1", "2001:db8::1"):
        eventually(lambda: outside.pings(ip), "outside")
        words = ["timeout", "60", "python3", "-c", program]
        listener = subprocess.Popen(["nsenter", "-t", str(host.status(name)["pid"]), "-n", *words, "yes", ip], stdout=subprocess.PIPE, text=True)
        try:
            assert listener.stdout.readline() == "up\n"
            assert outside.do(*words, "no", ip).splitlines()[-1] == "answered by %s 9000" % ip
            assert listener.stdout.readline() == "asked at 1000\n"
        finally:
            listener.terminate()
            listener.communicate()


@pytest.mark.native
def test_publish_all_takes_what_the_image_and_expose_name_also_when_the_image_comes_later(host):
    folder = DIR + "/state/exposing-layout"
    busybox_image("exposing", {"Cmd": ["sleep", "1000"], "Env": ["PATH=/bin:/usr/bin"], "ExposedPorts": {"80/tcp": {}, "53/udp": {}}}).write_layout(folder)
    host.berth("image", "import", folder)
    host.berth("run", "-d", "--name", "all", "-P", "--expose", "7000-7001", "-p", "8053:53/udp", "exposing")
    ports = {(p["container_port"], p["protocol"]): p["host_port"] for p in host.inspect("all")["spec"]["ports"]}
    assert set(ports) == {(80, "tcp"), (53, "udp"), (7000, "tcp"), (7001, "tcp")} and ports[53, "udp"] == 8053
    assert all(p >= 61000 for (n, _), p in ports.items() if n != 53) and len(set(ports.values())) == 4
    with serving(host, "all"):
        assert ask("127.0.0.1", ports[80, "tcp"]) != "nothing"
    host.restart()
    assert {(p["container_port"], p["protocol"]): p["host_port"] for p in host.inspect("all")["spec"]["ports"]} == ports
    host.refused("run", "--expose", "99999", "-P", "busybox", "true", text="'99999' is not PORT", code=125)
    host.refused("run", "-P", "--network", "none", "busybox", "true", text="without a network it has no ports", code=125)
    host.berth("rm", "-f", "all")
    host.berth("image", "rm", "exposing")


@pytest.mark.native
def test_a_port_that_is_taken_is_refused_naming_the_program_or_the_container(host):
    sh("ip", "link", "set", "lo", "up")
    name, _ = node(host, "-p", "7200-7202:80-82", "-p", "127.0.0.1:7300:80")
    for flag in ("7202:1", "7199-7205:1-7", "127.0.0.1:7201:1", "7300:1", "127.0.0.1:7300:1"):
        host.refused("run", "-p", flag, "busybox", "true", text="/tcp of the host is container %s's" % name, code=125)
    host.berth("run", "--rm", "-p", "7202:1/udp", "busybox", "true")
    for kind, proto, address in ((1, "tcp", "127.0.0.1"), (1, "tcp", "::"), (2, "udp", "0.0.0.0")):
        with listening(kind, address, 7400) as p:
            child = sh("pgrep", "-P", str(p.pid)).strip()
            host.refused("run", "-p", "7400:80/" + proto, "busybox", "true", code=125,
                         text=r"port 7400/%s of the host is taken: python3[.0-9]* \(pid %s\) listens there" % (proto, child))
    host.berth("run", "--rm", "-p", "7400:80", "busybox", "true")
    for one in ("[::1]", "[0::0:1]"):
        host.refused("run", "-p", one + ":7500:80", "busybox", "true", text="the kernel cannot lead packets from ::1 anywhere else; 127.0.0.1 can be published", code=125)


@pytest.mark.native
def test_any_address_of_one_family_is_not_the_other_familys(host, outside):  # noqa: F811
    name, _ = node(host, "-p", "0.0.0.0:7800:80", "-p", "[::]:7801:80", "-p", "7802:80")
    eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")
    with serving(host, name, (80,)):
        for before in ((), outside.words()):
            assert [[ask(ip, port, 1, before) for port in (7800, 7801, 7802)] for ip in ("192.0.2.1", "2001:db8::1")] == [["80", "nothing", "80"], ["nothing", "80", "80"]]
        assert [ask("127.0.0.1", port) for port in (7800, 7801, 7802)] == ["80", "nothing", "80"]
    assert host.berth("port", name).lines == ["80/tcp -> 0.0.0.0:7800", "80/tcp -> [::]:7801", "80/tcp -> 0.0.0.0:7802", "80/tcp -> [::]:7802"]
    for flag in ("0.0.0.0:7802:80", "[::]:7802:80", "7800:80", "0.0.0.0:7800:80", "192.0.2.1:7800:80", "[2001:db8::1]:7801:80"):
        host.refused("run", "-p", flag, "busybox", "true", text="/tcp of the host is container %s's" % name, code=125)
    host.berth("run", "--rm", "-p", "[::]:7800:80", "-p", "0.0.0.0:7801:80", "-p", "[2001:db8::1]:7800:80/udp", "busybox", "true")
    for ip in ("224.0.0.1", "255.255.255.255", "[fe80::1]", "[ff02::1]"):
        host.refused("run", "-p", ip + ":7803:80", "busybox", "true", text="%s is no address of one host" % re.escape(ip.strip("[]")), code=125)


@pytest.mark.native
def test_an_address_of_a_family_that_the_network_does_not_have_leads_nowhere_and_is_refused(host):
    host.berth("network", "create", "--subnet", "10.87.0.0/24", "four")
    host.berth("network", "create", "--subnet", "fd00:87::/64", "six")
    for network, ip, no in (("four", "[::]", 6), ("six", "127.0.0.1", 4), ("six", "0.0.0.0", 4)):
        host.refused("run", "--network", network, "-p", ip + ":7810:80", "busybox", "true", code=125,
                     text="-p %s:7810:80: .* leads to no address: network %s has none of IPv%d" % (re.escape(ip), network, no))
        host.refused("pod", "create", "--network", network, "-p", ip + ":7810:80", "p", text="leads to no address", code=2)
    name, _ = node(host, "-p", "127.0.0.1:7810:80", network="four")
    host.berth("network", "connect", "six", name)
    host.refused("network", "disconnect", "four", name, text="network six has none of IPv4")
    host.berth("run", "--rm", "--network", "six", "-p", "7811:80", "busybox", "true")


@pytest.mark.native
@pytest.mark.parametrize("driver", ["routed", "bridge"])
def test_published_ports_answer_who_is_in_another_network_of_the_container(host, driver):
    """The host asks 127.0.0.1 from its address in the first network that there is, who is in there from his own."""
    host.berth("network", "create", "-d", driver, "--subnet", "10.86.0.0/24", "--subnet", "fd00:86::/64", "mine")
    started, _ = node(host, "-p", "8080:80", "--network", "default", network="mine")
    later, _ = node(host, "-p", "8081:80", network="mine")
    other, _ = node(host)
    host.berth("network", "connect", "default", later)
    for name, port in ((started, 8080), (later, 8081)):
        with serving(host, name):
            inside_other = ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]
            for before, ip in (((), "127.0.0.1"), (inside_other, "10.209.0.1"), (inside_other, "10.86.0.1")):
                eventually(lambda: ask(ip, port, 1, before) != "nothing", "%s answers at %s" % (name, ip))


def test_localhost_is_refused_at_1_of_ipv6_at_once(host):
    name, _ = node(host, "-p", "7805:80")
    with serving(host, name, (80,)):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", 7805), timeout=5)
        with listening(1, "::1", 7805):     # whom it does not take anything from
            socket.create_connection(("::1", 7805), timeout=5).close()
        assert ask("127.0.0.1", 7805) == "80"


NAMED = "import socket, sys\ns = socket.socket(socket.AF_INET6, 2); s.bind(('::', 53)); print('up', flush=True)\nwhile True:\n x, who = s.recvfrom(9); s.sendto(sys.argv[1].encode(), who)"
RESTLESS = ("import socket, sys, time\nip = sys.argv[1]; s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, 2); s.settimeout(0.05)\n"
            "s.sendto(b'x', (ip, 7806)); print('sent', flush=True); last = ''\n"
            "while True:\n s.sendto(b'x', (ip, 7806))\n try: now = s.recv(9).decode(); time.sleep(0.01)\n except OSError: continue\n"
            " if now != last: print(now, flush=True)\n last = now\n")


def test_who_sends_to_a_published_port_of_udp_without_rest_reaches_who_has_it_now(host, outside):  # noqa: F811
    eventually(lambda: outside.pings("2001:db8::1"), "IPv6 outside")
    senders = [subprocess.Popen(outside.words("timeout", "120", "python3", "-c", RESTLESS, ip), stdout=subprocess.PIPE, text=True) for ip in ("192.0.2.1", "2001:db8::1")]
    assert [p.stdout.readline() for p in senders] == ["sent\n"] * 2
    for name in ("one", "two"):
        host.berth("run", "-d", "--name", name, "--network", "default", "-p", "7806:53/udp", "busybox", "sleep", "1000")
        p = subprocess.Popen(["nsenter", "-t", str(host.status(name)["pid"]), "-n", "timeout", "120", "python3", "-c", NAMED, name], stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "up\n"
        assert [p.stdout.readline() for p in senders] == [name + "\n"] * 2
        host.detached("--network", "default", "--", "sleep", "1000")    # so that the next has another address
        host.berth("rm", "-f", name)
        p.terminate()
        p.communicate()
    for p in senders:
        p.terminate()
        p.communicate()


@pytest.mark.native
def test_port_and_ps_say_where_as_docker_does(host):
    name, _ = node(host, "-p", "7000-7001:80-81", "-p", "127.0.0.1:7053:53/udp")
    assert host.berth("port", name).lines == ["80/tcp -> 0.0.0.0:7000", "80/tcp -> [::]:7000", "81/tcp -> 0.0.0.0:7001", "81/tcp -> [::]:7001",
                                              "53/udp -> 127.0.0.1:7053"]
    assert host.berth("port", name, "81").lines == ["0.0.0.0:7001", "[::]:7001"] and host.berth("port", name, "53/udp").text == "127.0.0.1:7053"
    host.refused("port", name, "53", text="port 53/tcp of %s is not published" % name)
    host.refused("port", name, "0", text='"0" is not PORT', code=2)
    assert host.berth("port", "--format", "json", name, "53/udp").json() == [{"host_ip": "127.0.0.1", "host_port": 7053, "container_port": 53, "protocol": "udp"}]
    assert "0.0.0.0:7000-7001->80-81/tcp, [::]:7000-7001->80-81/tcp, 127.0.0.1:7053->53/udp" in host.berth("ps").out
    line, = host.berth("ps", "--format", "json").json()
    assert [p["host_port"] for p in line["ports"]] == [7000, 7001, 7053]
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "four")
    only, _ = node(host, "-p", "7600:80", network="four")
    assert host.berth("port", only).text == "80/tcp -> 0.0.0.0:7600"
    host.berth("stop", "-t", "0", name)
    assert "7053" not in host.berth("ps", "-a").out


@pytest.mark.native
def test_port_and_ps_of_a_container_in_a_pod_say_the_pods(host):
    host.berth("pod", "create", "--network", "default", "-p", "7000:80", "shop")
    name = host.detached("--pod", "shop", "--", "sleep", "1000")
    assert host.berth("port", name).lines == ["80/tcp -> 0.0.0.0:7000", "80/tcp -> [::]:7000"] and host.berth("port", name, "80").lines[0] == "0.0.0.0:7000"
    for flag in (["-p", "80:80"], ["-P"]):
        host.refused("run", "--pod", "shop", *flag, "busybox", "true", text="a container of a pod cannot choose this: it is the pod's", code=125)
    host.refused("port", name, "81", text="port 81/tcp of shop is not published")
    assert "0.0.0.0:7000->80/tcp, [::]:7000->80/tcp" in host.berth("ps").out
    line, = host.berth("ps", "--format", "json").json()
    assert [p["host_port"] for p in line["ports"]] == [7000] and line["addresses"] == host.berth("pod", "inspect", "shop").json()[0]["networks"][0]["addresses"]


@pytest.mark.native
def test_a_policy_of_drop_of_the_hosts_firewall_holds_for_published_ports_and_for_containers(host, outside):  # noqa: F811
    name, lease = node(host, "-p", "8080:80")
    other, _ = node(host)
    enter = ["nsenter", "-t", str(host.status(other)["pid"]), "-n"]
    with serving(host, name):
        eventually(lambda: ask("2001:db8::1", 8080, 1, outside.words()) == "2001:db8::2", "IPv6 from outside")
        assert ask("192.0.2.1", 8080, 1, outside.words()) == "192.0.2.2" and ask(addresses(lease)[0], 80, 1, enter) != "nothing"
        sh("nft", "add table inet firewall; add chain inet firewall f { type filter hook forward priority 0; policy drop; }")
        try:
            for ip in ("192.0.2.1", "2001:db8::1"):
                assert ask(ip, 8080, 1, outside.words()) == "nothing"
            assert ask(addresses(lease)[0], 80, 1, enter) == "nothing" and ask("127.0.0.1", 8080) != "nothing"     # what the host itself asks is not forwarded
            # What the manual says to let through: what is published, and what containers say.
            sh("nft", "add rule inet firewall f ct status dnat accept; add rule inet firewall f ct state established,related accept; "
               'add rule inet firewall f iifname "bt*" accept')
            for ip in ("192.0.2.1", "2001:db8::1"):
                assert ask(ip, 8080, 1, outside.words()) != "nothing"
            assert ask(addresses(lease)[0], 80, 1, enter) != "nothing"
        finally:
            sh("nft", "delete", "table", "inet", "firewall")


def test_port_53_of_the_host_is_had_by_a_container_and_names_are_asked_at_the_gateways_as_before(host, outside):  # noqa: F811
    a, _ = node(host)
    assert rcode(ask_name(host, a, packet("nobody.berth.internal"))) == 3       # berth-dns listens
    host.refused("run", "-p", "10.209.0.1:53:53/udp", "busybox", "true", text=r"is taken: berth-dns \(pid", code=125)
    for kind, protocol in ((1, "tcp"), (2, "udp")):
        with listening(kind, "127.0.0.1", 53):
            host.refused("run", "-p", "53:53/" + protocol, "busybox", "true", text=r"port 53/%s of the host is taken: " % protocol, code=125)
    server, lease = node(host, "-p", "53:53", "-p", "53:53/udp")
    with serving(host, server, [53]):
        assert ask("192.0.2.1", 53, 1, outside.words()) == "53" and ask("127.0.0.1", 53) == "53"
        for gateway in (n["gateway"] for n in host.berth("network", "inspect", "default").json()[0]["subnets"]):
            for kind in ("udp", "tcp"):
                assert addresses_in(ask_name(host, a, packet(server), gateway, kind)) == [lease[0]["addresses"][0]], (gateway, kind)
