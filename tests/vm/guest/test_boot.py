"""What systemd made of the machine."""

import subprocess


def systemctl(*args):
    return subprocess.run(["systemctl", *args], capture_output=True, text=True).stdout.strip()


def test_the_tree_is_held_in_a_leaf_and_berthd_is_not_in_it():
    tree = "/sys/fs/cgroup/berth.slice/berth-tree.service"
    assert systemctl("is-active", "berth-tree") == "active"
    with open(tree + "/holder/cgroup.procs") as f:
        assert len(f.read().split()) == 2
    with open(tree + "/cgroup.procs") as f:
        assert f.read() == ""
