"""What is done to berthd and to systemd does not touch a container: same process, no gap in what it counts, the same limits."""

import contextlib
import os
import signal
import time

import pytest

from conftest import TREE, eventually, read, systemctl

LIMITS = ["-m", "48m", "--memory-swap", "48m", "--cpus", "0.5", "--pids-limit", "20", "--cpuset-cpus", "1"]
FILES = {"memory.max": "50331648", "memory.swap.max": "0", "cpu.max": "50000 100000", "pids.max": "20", "cpuset.cpus": "1"}


def berthd():
    return systemctl("show", "-P", "MainPID", "berthd")


def reload_manager(verb):
    def do():
        systemctl(verb)
        systemctl("is-active", "berthd")
    return do


def kill():
    os.kill(int(berthd()), signal.SIGKILL)


def restart_both_at_once():
    systemctl("daemon-reexec")
    systemctl("restart", "berthd")
    systemctl("daemon-reload")


EVENTS = {
    # name: (what is done, is berthd another process after it)
    "systemctl restart": (lambda: systemctl("restart", "berthd"), True),
    "stop and start": (lambda: (systemctl("stop", "berthd"), time.sleep(1), systemctl("start", "berthd")), True),
    "kill -9": (kill, True),
    "systemctl reload (upgrade in place)": (lambda: systemctl("reload", "berthd"), False),
    "daemon-reload": (reload_manager("daemon-reload"), False),
    "daemon-reexec": (reload_manager("daemon-reexec"), False),
    "daemon-reexec, restart, daemon-reload": (restart_both_at_once, True),
}


def check_limits(berth):
    group = berth.group("counter")
    for file, want in FILES.items():
        assert read(os.path.join(group, file)).strip() == want, file


@pytest.fixture(scope="module")
def counter(machine):
    machine("run", "-d", "--name", "counter", *LIMITS, "busybox", "sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.2; done")
    machine("run", "-d", "--name", "plain", "busybox", "sleep", "100000")
    eventually(lambda: machine.log("counter"), "the counter counts")
    yield machine
    machine("rm", "-f", "counter", "plain", code=None)


@pytest.mark.parametrize("name", EVENTS)
def test_container_is_untouched_by(counter, name):
    do, another = EVENTS[name]
    before, plain, pid = counter.status("counter"), counter.status("plain"), berthd()
    started = read("/proc/%d/stat" % before["pid"]).split()[21]

    do()
    eventually(lambda: counter.answers() and systemctl("is-active", "berthd", code=None) == "active", "berthd is back after " + name)
    eventually(lambda: berthd() not in ("0", ""), "systemd knows berthd")
    assert (berthd() != pid) == another

    seen = len(counter.log("counter").split())
    eventually(lambda: len(counter.log("counter").split()) > seen, "the counter goes on after " + name)
    numbers = [int(n) for n in counter.log("counter").split()]
    assert numbers == list(range(1, len(numbers) + 1)), "lines are missing"

    after = counter.status("counter")
    for field in ("pid", "started_at", "cgroup"):
        assert after[field] == before[field], field
    assert after.get("restart_count", 0) == before.get("restart_count", 0)
    assert read("/proc/%d/stat" % after["pid"]).split()[21] == started
    assert counter.status("plain")["pid"] == plain["pid"]
    check_limits(counter)


def test_a_container_is_still_controlled_after_all_that(counter):
    counter("exec", "counter", "true")
    counter("stop", "-t", "0", "counter")
    counter("start", "counter")
    eventually(lambda: counter.status("counter")["state"].endswith("RUNNING"), "it runs again")


def empty_groups_are_taken_away():
    """systemd does that, now or later, when the holder has ended: as thoroughly as it can be done."""
    for root, _, _ in os.walk(TREE, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(root)
    return not os.path.exists(TREE + "/jobs")


def test_the_end_of_the_trees_holder_harms_nothing(counter):
    pid = counter.status("plain")["pid"]
    for holder in read(TREE + "/holder/cgroup.procs").split():
        os.kill(int(holder), signal.SIGKILL)
    eventually(lambda: systemctl("show", "-P", "SubState", "berth-tree") == "exited", "systemd has seen it")
    assert systemctl("is-active", "berth-tree") == "active"
    eventually(empty_groups_are_taken_away, "no empty group is left")
    counter("top", "plain")     # a job
    counter("exec", "plain", "true")
    counter("run", "--rm", *LIMITS, "busybox", "true")
    systemctl("restart", "berthd")
    eventually(counter.answers, "berthd answers")
    assert counter.status("plain")["pid"] == pid
    counter("exec", "plain", "true")


def test_a_tree_without_holder_and_containers_is_made_again(machine):
    """The last one: of the tree nothing is left, and what comes then has its limits all the same."""
    for name in machine.names():
        machine("rm", "-f", name)
    eventually(lambda: empty_groups_are_taken_away() and not os.path.exists(TREE), "the tree is gone")
    machine("run", "-d", "--name", "counter", *LIMITS, "busybox", "sleep", "1000")
    systemctl("daemon-reload")
    check_limits(machine)
    assert systemctl("is-active", "berth-tree") == "active"
    machine("rm", "-f", "counter")
