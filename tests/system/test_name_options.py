"""What Docker's users say of names and of the one interface: --add-host, --dns, --dns-search, --dns-option, --ip, --ip6, --mac-address,
--network-alias; and what network who names none gets."""

import pytest

from conftest import private_host
from host import eventually
from test_names import addresses_in, ask, kept, packet, rcode, resolv, upstream  # noqa: F401
from test_networks import node, sh

HOSTS_END = "ff02::2\tip6-allrouters\n"


def hosts_of(host, who):
    """The further lines of /etc/hosts."""
    return kept(host, who, "/etc/hosts").partition(HOSTS_END)[2]


def test_lines_of_hosts_are_kept_over_restarts_rebuilds_and_networks_that_come(host):
    a, lease = node(host, "--add-host", "db:192.0.2.7", "--add-host=six=[fd00::7]", "--add-host", "up:host-gateway")
    lines = "192.0.2.7\tdb\nfd00::7\tsix\n10.209.0.1\tup\n"
    gateway = host.berth("network", "inspect", "default").json()[0]["subnets"][1]["gateway"]
    assert hosts_of(host, a) == lines + gateway + "\tup\n"
    host.berth("exec", a, "ping", "-c1", "-w5", "up")
    host.berth("restart", "-t", "0", a)
    assert hosts_of(host, a) == lines + gateway + "\tup\n"
    host.berth("rebuild", "-t", "0", a)
    assert hosts_of(host, a) == lines + gateway + "\tup\n"
    assert host.inspect(a)["spec"]["names"]["hosts"][0] == {"name": "db", "address": "192.0.2.7"}
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "red")
    host.berth("network", "connect", "red", a)
    host.berth("network", "disconnect", "default", a)
    eventually(lambda: hosts_of(host, a) == "192.0.2.7\tdb\nfd00::7\tsix\n10.86.0.1\tup\n", lambda: hosts_of(host, a))
    host.berth("network", "disconnect", "red", a)
    eventually(lambda: hosts_of(host, a) == "192.0.2.7\tdb\nfd00::7\tsix\n# up: in none of its networks is the host\n", lambda: hosts_of(host, a))


@pytest.mark.native
def test_as_many_and_as_long_lines_as_there_may_be_follow_too(host):
    names = ["%03d" % i + "a" * 250 for i in range(256)]
    flags = [x for name in names for x in ("--add-host", name + ":host-gateway")]
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "red")
    host.berth("network", "create", "--subnet", "10.87.0.0/24", "--subnet", "fd00:87::/64", "blue")
    a, _ = node(host, *flags, network="red")
    assert hosts_of(host, a).splitlines() == ["10.86.0.1\t" + name for name in names]
    host.berth("network", "connect", "blue", a)
    host.berth("network", "disconnect", "red", a)
    both = [ip + name for name in names for ip in ("10.87.0.1\t", "fd00:87::1\t")]
    eventually(lambda: hosts_of(host, a).splitlines() == both, lambda: hosts_of(host, a)[:600])
    host.refused("run", *flags, "--add-host", "x:192.0.2.7", "busybox", "true", text="257 names: at most 256", code=125)


@pytest.mark.native
def test_a_host_name_with_a_domain_is_found_in_full_and_short(host):
    out = host.run_("--hostname", "web.example.org", "--", "sh", "-c", "cat /etc/hosts; hostname -f").out
    assert "127.0.1.1\tweb.example.org web\n" in out and out.endswith("\nweb.example.org\n")


def test_a_containers_own_servers_are_asked_in_place_of_its_networks_and_of_no_other_container(host, upstream):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--dns", "127.77.0.99", "--dns-search", "lab.example", "out")
    a, la = node(host, "--dns", upstream.address, network="out")
    b, lb = node(host, network="out")
    www = packet("www.example.org")
    assert addresses_in(ask(host, a, www, "10.86.0.1")) == ["192.0.2.80"]
    n = len(upstream.seen)
    assert rcode(ask(host, b, www, "10.86.0.1", seconds=20)) == 2 and len(upstream.seen) == n       # nobody listens at the network's
    assert addresses_in(ask(host, a, packet(b), "10.86.0.1")) == lb[0]["addresses"]                 # names of containers are found as before
    host.restart()
    assert addresses_in(ask(host, a, www, "10.86.0.1")) == ["192.0.2.80"]
    assert "nameserver 10.86.0.1\n" in kept(host, a) and host.inspect(a)["spec"]["names"]["dns"] == [upstream.address]


@pytest.mark.native
def test_domains_and_options_replace_those_of_the_network_and_the_host(host, resolv):
    resolv.write_text("nameserver 127.77.0.1\noptions edns0\n")
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--dns-search", "lab.example", "out")

    def said(*flags):
        return kept(host, node(host, *flags, network="out")[0])
    eventually(lambda: "options edns0" in said(), "the host's")
    assert said("--dns-search", "a.example", "--dns-search", "b.example") == "search berth.internal a.example b.example\nnameserver 10.86.0.1\noptions edns0\n"
    assert said("--dns-search", ".", "--dns-option", "ndots:2", "--dns-opt", "timeout:1") == "search berth.internal\nnameserver 10.86.0.1\noptions ndots:2 timeout:1\n"


@pytest.mark.native
def test_what_a_pod_is_told_of_names_all_of_its_containers_have_and_they_choose_none(host):
    host.berth("pod", "create", "--network", "default", "--network-alias", "www", "--ip", "10.209.7.7", "--add-host", "db:192.0.2.7", "--dns-search", "a.example", "p")
    for name in ("one", "two"):
        host.berth("run", "-d", "--pod", "p", "--name", name, "busybox", "sleep", "1000")
        assert hosts_of(host, name) == "192.0.2.7\tdb\n" and kept(host, name) == "search berth.internal a.example\nnameserver 10.209.0.1\n"
    p, = host.berth("pod", "inspect", "p").json()
    assert p["networks"][0]["addresses"][0] == "10.209.7.7" and p["networks"][0]["aliases"] == ["www"]
    host.refused("run", "--pod", "p", "--add-host", "db:192.0.2.8", "busybox", "true", text="--add-host db:192.0.2.8: a container of a pod cannot choose this", code=125)


@pytest.mark.native
def test_short_forms_of_an_interface_are_of_the_network_beside_them_or_of_the_default_one(host):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--subnet", "fd00:86::/64", "red")
    a = host.detached("--ip", "10.86.0.80", "--network", "red", "--ip6=fd00:86::80", "--mac-address", "02:00:00:00:00:80", "--network-alias", "www", "--", "sleep", "1000")
    lease, = host.inspect(a)["networks"]
    assert (lease["addresses"], lease["mac"], lease["aliases"]) == (["10.86.0.80", "fd00:86::80"], "02:00:00:00:00:80", ["www"])
    b = host.detached("--ip", "10.209.7.7", "--", "sleep", "1000")
    lease, = host.inspect(b)["networks"]
    assert lease["network"] == "default" and lease["addresses"][0] == "10.209.7.7"


@pytest.mark.native
@pytest.mark.parametrize("flags, text", [
    (("--add-host", "db"), "--add-host: \"db\" is not NAME:ADDRESS"),
    (("--add-host", "a b:192.0.2.7"), "--add-host a b:192.0.2.7: 'a b' is not the name of a host"),
    (("--add-host", "db:nowhere"), "--add-host db:nowhere: 'nowhere' is neither an IP address nor host-gateway"),
    (("--add-host", "up:host-gateway"), "--add-host up:host-gateway: without a network nothing of the host is reached"),
    (("--network", "host", "--add-host", "db:192.0.2.7"), "--add-host db:192.0.2.7: with the host's network /etc/hosts and resolv.conf are the host's"),
    (("--dns", "one"), "--dns one: 'one' is not an IP address"),
    (("--dns", "::1", "--dns", "::2", "--dns", "::3", "--dns", "::4"), "at most 3 are asked"),
    (("--dns-search", "a b"), "--dns-search a b: 'a b' is not a domain"),
    (("--dns-option", "ndots:2 debug"), "--dns-option ndots:2 debug: 'ndots:2 debug' is not an option of resolv.conf"),
    (("--ip", "10.88"), "--ip 10.88: '10.88' is not an IP address"),
    (("--network", "default", "--ip", "10.88.0.1"), "--ip 10.88.0.1: 10.88.0.1 cannot be had in 10.209.0.0/16 of network default: it is not in there"),
    (("--ip", "10.209.0.1"), "--ip 10.209.0.1: 10.209.0.1 cannot be had in 10.209.0.0/16 of network default: it is the gateway"),
    (("--ip", "10.209.0.7", "--network", "default:ip=10.209.0.8"), "at most one address of each family"),
    (("--mac-address", "01:00:5e:00:00:01"), "--mac-address 01:00:5e:00:00:01: '01:00:5e:00:00:01' is not the MAC of one machine"),
    (("--network", "none", "--network-alias", "www"), "none and networks exclude each other"),
    (("--network", "host:link=x"), "host is chosen when a container is made, alone"),
    (("--network", "default:rate-in=1"), "--network default:rate-in=1: must be 8000 to 1000000000000 bits in a second"),
])
def test_what_cannot_be_is_refused_in_the_words_of_the_flag_and_leaves_nothing(host, flags, text):
    host.refused("run", *flags, "busybox", "true", text=text, code=125)
    assert host.list() == []


@pytest.mark.native
def test_what_cannot_be_connected_is_refused_in_the_words_of_the_flag(host):
    a, _ = node(host)
    for flags, text in ((("--ip6", "fd00::1", "default"), "--ip6 fd00::1: fd00::1 cannot be had in"), (("host",), "host is chosen when a container is made, alone"),
                        (("--mac", "zz", "default"), "--mac zz: 'zz' is not the MAC")):
        host.refused("network", "connect", *flags, a, text=text, code=None)
    host.refused("network", "limit", a, "--rate-in", "1", text="--rate-in: must be 8000 to", code=None)
    assert len(host.inspect(a)["networks"]) == 1


@pytest.mark.native
def test_members_choose_lines_of_hosts_and_domains_and_not_whom_the_host_asks(host):
    with host.api(host.token("shop")) as c:
        spec = {"image": "busybox", "command": ["cat", "/etc/hosts"], "networks": [{"network": "default"}]}
        for what in (("container_create", {"spec": {**spec, "names": {"dns": ["192.0.2.1"]}}}), ("pod_create", {"spec": {"names": {"dns": ["192.0.2.1"]}}})):
            with pytest.raises(Exception, match="a name server of his choice"):
                c.request(*what)
        c.request("container_create", {"name": "m", "spec": {**spec, "names": {"hosts": [{"name": "db", "address": "192.0.2.7"}], "dns_search": ["a.example"]}}})


@pytest.mark.native
def test_who_names_no_network_gets_the_one_of_berthd_conf_or_none(tmp_path):
    config = tmp_path / "berthd.conf"
    config.write_text("")
    with private_host(options=["--config", str(config)], before=["unshare", "-n"]) as host:
        config.write_text("default_network = shop\n")
        host.restart()
        host.refused("run", "busybox", "true", text=r"none is named, and there is no network 'shop' \(default_network in berthd.conf\)", code=125)
        host.berth("network", "create", "--subnet", "10.86.0.0/24", "shop")
        a = host.detached("--", "sleep", "1000")
        assert host.inspect(a)["spec"]["networks"] == [{**host.inspect(a)["spec"]["networks"][0], "network": "shop"}]
        assert [x["network"] for x in host.inspect(a)["networks"]] == ["shop"]
        host.berth("pod", "create", "p")
        assert [x["network"] for x in host.berth("pod", "inspect", "p").json()[0]["networks"]] == ["shop"]
        b = host.detached("-p", "8080:80", "--network-alias", "www", "--", "sleep", "1000")
        assert [(x["network"], x["aliases"]) for x in host.inspect(b)["networks"]] == [("shop", ["www"])]
        for network in ("none", "host"):
            c = host.detached("--network", network, "--", "sleep", "1000")
            assert not host.inspect(c).get("networks") and host.inspect(c)["spec"]["network"] == network
        host.restart()
        assert [x["network"] for x in host.inspect(a)["networks"]] == ["shop"]


# ---------------------------------------------------------------- networks as Docker's users make and look at them

@pytest.mark.native
def test_dockers_words_for_a_network_are_honoured_or_refused_by_name(host):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "--ipv6=false", "--attachable", "--scope", "local", "--ipam-driver", "default",
               "-o", "com.docker.network.driver.mtu=1400", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "red")
    n, = host.berth("network", "inspect", "red").json()
    assert n["mtu"] == 1400 and n["masquerade"] is False and len(n["subnets"]) == 1
    host.berth("network", "create", "-o", "com.docker.network.bridge.enable_ip_masquerade=1", "hidden")
    assert host.berth("network", "inspect", "hidden").json()[0]["masquerade"] is True
    host.berth("network", "create", "--ipv6", "both")
    for flags, text in ((("--ipv6", "--subnet", "10.87.0.0/24"), "--ipv6: name an IPv6 --subnet too"), (("--ipv4=false",), "--ipv4=false: name the one --subnet"),
                        (("-o", "com.docker.network.bridge.enable_ip_masquerade=maybe"), "is neither true nor false"),
                        (("-o", "com.docker.network.bridge.name=br0"), "links of berth have names of their own"), (("-o", "colour=red"), "is not parent=LINK"),
                        (("--ingress",), "berth has no swarm"), (("--scope", "swarm"), "of this host alone"), (("--ipam-driver", "dhcp"), "gives addresses itself"),
                        (("-o", "com.docker.network.driver.mtu=5"), "-o com.docker.network.driver.mtu=5: must be 1280")):
        host.refused("network", "create", *flags, "bad", text=text, code=None)
    assert "bad" not in host.berth("network", "ls", "--format", "{{.meta.name}}").lines
    assert host.berth("network", "rm", "-f", "bad", "red").text == "red" and host.berth("network", "rm", "--force", "red").text == ""
    host.refused("network", "rm", "bad", text="there is no network 'bad'")
    a, _ = node(host, network="both")
    host.refused("network", "rm", "-f", "both", text="network both is used by")
    host.refused("run", "--network", "bridge", "busybox", "true", text="the one that is always there is called default", code=125)


@pytest.mark.native
def test_who_is_in_a_network_is_in_its_inspect_and_found_by_ps(host):
    host.berth("network", "create", "--subnet", "10.86.0.0/24", "red")
    a, la = node(host, "--network-alias", "www", network="red")
    host.berth("pod", "create", "--network", "red", "p")
    b = host.detached("--pod", "p", "--", "sleep", "1000")
    c = host.detached("--", "sleep", "1000")
    host.berth("network", "connect", "red:rate-in=10mbit,alias=late", c)
    host.refused("network", "disconnect", "-f", "red", c, text="leave it out", code=None)
    n, = host.berth("network", "inspect", "red").json()
    found = {x["name"]: x for x in n["interfaces"]}
    assert found[a] == {"holder": host.inspect(a)["meta"]["uuid"], "name": a, "kind": "container", "link": "eth0", "mac": la[0]["mac"],
                        "addresses": la[0]["addresses"], "aliases": ["www"]}
    assert found["p"]["kind"] == "pod" and found[c]["aliases"] == ["late"] and host.inspect(c)["networks"][0]["ingress_bps"] == 10000000
    d, _ = node(host)

    def listed(network):
        return sorted(x["meta"]["name"] for x in host.berth("ps", "-a", "--filter", "network=" + network, "--format", "json").json())
    assert listed("red") == listed(n["meta"]["uuid"][:12]) == sorted((a, b, c)) and listed("default") == [d] and listed("none") == []
    with host.api(host.token("shop")) as m:     # of a shared one a member sees his own
        m.request("container_create", {"name": "theirs", "spec": {"image": "busybox", "networks": [{"network": "default"}]}})
        one, = m.request("network_inspect", {"name": "default"})[0]["networks"]
        assert [x["name"] for x in one["interfaces"]] == ["theirs"] and len(one["used_by"]) == 1
