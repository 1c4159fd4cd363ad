"""What systemd made of the machine."""

import grp
import os
import stat

from conftest import SOCKET, TREE, read, run, systemctl


def test_the_tree_is_held_in_a_leaf(machine):
    assert systemctl("is-active", "berth-tree") == "active"
    assert len(read(TREE + "/holder/cgroup.procs").split()) == 2    # the script and its sleep
    assert read(TREE + "/cgroup.procs") == ""


def test_berthd_stays_in_its_own_unit_and_has_the_controllers(machine):
    pid = systemctl("show", "-P", "MainPID", "berthd")
    assert read("/proc/%s/cgroup" % pid).strip() == "0::/system.slice/berthd.service"
    assert set(read(TREE + "/shared/cgroup.subtree_control").split()) >= {"cpu", "cpuset", "io", "memory", "pids"}
    assert read(TREE + "/supervisor/cgroup.procs") == ""


def test_the_socket_belongs_to_the_group_berth(machine):
    st = os.stat(SOCKET)
    assert stat.S_IMODE(st.st_mode) == 0o660
    assert grp.getgrgid(st.st_gid).gr_name == "berth"


def test_the_tree_refuses_to_be_stopped_or_restarted(machine):
    for verb in ("stop", "restart"):
        p = run("systemctl", verb, "berth-tree", code=None)
        assert p.returncode and "refused" in p.stderr, p


def test_nothing_of_the_units_is_wrong_in_systemds_eyes(machine):
    for unit in ("berthd", "berth-tree"):
        p = run("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/%s.service" % unit, code=None)
        assert p.returncode == 0 and "berth" not in p.stderr, p.stderr
