"""Drivers of networks other than routed, seen by what passes and what does not, in namespaces that the test makes."""

import pytest

from test_networks import addresses, node, outside, pings, sh  # noqa: F401 (a fixture)


# ---------------------------------------------------------------- what there is

@pytest.mark.native
def test_host_and_none_are_always_there_and_nobody_makes_or_removes_them(host):
    fixed = [n["meta"]["name"] for n in host.berth("network", "ls", "--format", "json").json() if n["driver"] in ("host", "none")]
    assert fixed == ["host", "none"]
    for name in fixed:
        host.refused("network", "rm", name, text="the network %s is always there" % name)
        host.refused("network", "create", "--subnet", "10.90.0.0/24", name, text="the network %s is always there" % name)
        host.refused("network", "create", "-d", name, "--subnet", "10.90.0.0/24", "other", text="always there", code=2)
        assert host.berth("network", "inspect", name).json()[0]["driver"] == name
        host.berth("run", "--rm", "--network", name, "busybox", "true")


@pytest.mark.native
def test_drivers_and_what_they_can_enforce_are_told_as_table_and_json(host):
    drivers = {(d["name"], d["parent"]): d for d in host.berth("network", "drivers", "--format", "json").json()}
    everything = set(drivers["routed", False]["features"])
    for d in drivers.values():
        assert set(d.get("features", [])) | set(d.get("lacks", [])) == everything | set(drivers["routed", False].get("lacks", []))
    assert "published ports" in drivers["bridge", False]["features"] and "published ports" in drivers["bridge", True]["lacks"]
    lines = host.berth("network", "drivers").lines
    assert lines[0].split()[:3] == ["FEATURE", "routed", "bridge"]
    row, = [x for x in lines if x.startswith("published ports")]
    assert row.split()[2:5] == ["yes", "yes", "-"]


@pytest.mark.native
@pytest.mark.parametrize("flags, text", [
    (("-d", "overlay"), "there are routed, bridge, macvlan, ipvlan and phys"),
    (("-d", "macvlan"), "needs a link of the host to lead to"),
    (("-o", "parent=lo1"), "leads to no link of the host"),
    (("-d", "macvlan", "-o", "parent=lo"), "lo leads nowhere"),
    (("-d", "macvlan", "-o", "parent=no0", "-o", "mode=l2"), "-o mode=l2: .*bridge private vepa passthru"),
    (("-d", "phys", "-o", "parent=no0", "--internal"), "--internal: .*driver phys.*internal; drivers that can: routed, bridge"),
    (("-o", "speed=1"), "is not parent=LINK or mode=MODE")])
def test_what_a_driver_cannot_is_refused_by_its_flag(host, flags, text):
    host.refused("network", "create", "--subnet", "10.90.0.0/24", *flags, "bad", text=text, code=None)
    assert not host.berth("network", "ls", "-q", "-f", "name=bad").lines
