"""Second boot, after the power was cut in the middle of creations and removals. The image was imported a moment before."""

import os
import re

from common import COUNT, POLICIES, assert_policies, runs_of

from conftest import TREE, eventually, nothing_is_stale, read

TRAP = "trap 'echo asked; sleep 2; date >/data/$(hostname); echo bye; exit 7' TERM; echo up; while :; do sleep 0.2; done"


def kept():
    """What berthd had answered before the cut, as the machine's console remembers: "name", and "-name" for a removal."""
    found = re.search(r"berth\.kept=(\S+)", read("/proc/cmdline"))
    return found.group(1).split(",")


def test_what_was_answered_before_the_cut_is_so(machine):
    names, removed = [k for k in kept() if k[0] != "-"], [k[1:] for k in kept() if k[0] == "-"]
    assert names and removed
    for name in set(names) - set(removed):
        machine.wait_state(name, "running")
    assert not set(removed) & set(machine.names())


def test_policies_decide_after_the_cut(machine):
    assert_policies(machine)
    assert "gone" not in machine.names()


def test_exits_that_nobody_saw_are_unknown(machine):
    for name in (*POLICIES, "member"):
        s = machine.status(name)
        assert not s["last_exit"].get("known") and "host went down" in s["last_exit"]["reason"], s
        assert s.get("restart_count", 0) == 0
    assert machine.status("always")["incarnation"] == 2 and machine.status("never")["incarnation"] == 1


def test_logs_of_before_the_cut_are_whole_as_far_as_they_go(machine):
    eventually(lambda: len(runs_of(machine.log("counter"))) == 2, "it counts again")
    for numbers in runs_of(machine.log("counter")):
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_image_and_volumes_have_survived(machine):
    assert machine("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/file").stdout == "kept\n"


def test_the_cut_left_nothing_stale(machine):
    for name in machine.names():
        if name[0] in "kr" and name[1:].isdigit():
            machine("rm", "-f", name)
    nothing_is_stale(machine)
    assert read(os.path.join(TREE, "cgroup.procs")) == ""


def test_containers_are_there_for_the_reboot_to_end(machine):
    """The last one before systemctl reboot."""
    for name, flags in {"polite": ["--restart", "always"], "polite-never": [], "hurt": ["--stop-timeout", "1"],
                        "paused": ["--restart", "unless-stopped"], "polite-member": ["--pod", "pod"]}.items():
        more = ["--stop-timeout", "120"] if "--stop-timeout" not in flags else []
        machine("run", "-d", "--name", name, *flags, *more, "-v", "data:/data", "busybox", "sh", "-c", TRAP)
    machine("run", "-d", "--name", "usr1", "--stop-signal", "USR1", "--stop-timeout", "120", "-v", "data:/data", "busybox", "sh", "-c",
            TRAP.replace("TERM", "USR1"))
    for name in ("polite", "polite-never", "hurt", "paused", "polite-member", "usr1"):
        eventually(lambda: "up" in machine.log(name), "it is up")
    machine("pause", "paused")
    machine("run", "-d", "--name", "broken", "--restart", "always", "busybox", "false")
    machine.wait_state("broken", "backoff")
    for name in ("always", "unless", "failure", "never", "member", "counter"):  # sh and sleep as pid 1 hear no SIGTERM
        machine("rm", "-f", name)
    for name, policy in POLICIES.items():
        machine("run", "-d", "--name", name, "--restart", policy, "--init", "busybox", "sleep", "100000")
    machine("run", "-d", "--name", "member", "--pod", "pod", "--restart", "always", "--init", "busybox", "sleep", "100000")
    machine("run", "-d", "--name", "counter", "--restart", "always", "--init", "-m", "32m", "busybox", "sh", "-c", COUNT)
    machine("stop", "-t", "0", "always-stopped")
    eventually(lambda: "20" in machine.log("counter").split(), "it counts")
