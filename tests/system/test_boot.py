"""The host goes down and comes up again, as berthd sees it. (tests/vm does it to a whole host, by systemd and by its plug.)"""

import os
import shutil
import time

import pytest

from conftest import private_host
from host import SLOW, eventually
from test_pains import disk

POLICIES = {"always": "always", "unless": "unless-stopped", "failure": "on-failure", "never": "no"}
TRAP = "trap 'echo asked; sleep 0.3; echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"


def boot(host):
    """What a reboot leaves of a host: the disk. (berthd is dead.)"""
    with open(host.cgroup_dir + "/cgroup.kill", "w") as f:
        f.write("1")
    eventually(lambda: "populated 0" in open(host.cgroup_dir + "/cgroup.events").read(), "nothing runs")
    for root, dirs, _ in os.walk(host.cgroup_dir, topdown=False):
        os.rmdir(root)
    for name in os.listdir(host.run):
        path = os.path.join(host.run, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    host.start()


def all_policies(host, *command):
    for name, policy in POLICIES.items():
        host.detached("--restart", policy, "--stop-timeout", str(int(20 * SLOW)), "--", *command, name=name)
    for name in POLICIES:
        host.detached("--restart", POLICIES[name], "--", "sleep", "600", name=name + "-stopped")
        host.berth("stop", "-t", "0", name + "-stopped")


def states(host):
    return {c["meta"]["name"]: c["state"].replace("CONTAINER_STATE_", "").lower() for c in host.list()}


def assert_after_boot(host):
    for name in ("always", "unless", "failure", "always-stopped"):
        host.wait_state(name, "running")
    now = states(host)
    assert now["never"] == "exited" and {now[n] for n in ("unless-stopped", "failure-stopped", "never-stopped")} == {"stopped"}, now
    assert "host" in host.status("always")["restart_decision"]


# ---------------------------------------------------------------- the plug

def test_power_cut_policies_decide_and_exits_are_unknown(host):
    all_policies(host, "sleep", "600")
    host.settled()      # a stop is answered before its end is on disk
    host.kill()
    boot(host)
    assert_after_boot(host)
    for name in POLICIES:
        end = host.status(name)["last_exit"]
        assert not end.get("known") and "host went down" in end["reason"]
        assert host.status(name).get("restart_count", 0) == 0
    assert host.status("always")["incarnation"] == 2


def test_power_cut_in_the_middle_of_a_restart_does_not_leave_it_stopped(host):
    name = host.detached("--restart", "unless-stopped", "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done")
    host.wait_log(name, "up")
    p = host.popen("restart", "-t", "60", name)
    host.wait_state(name, "stopping")
    host.kill()
    p.kill()
    p.communicate()
    boot(host)
    host.wait_state(name, "running")


# ---------------------------------------------------------------- the switch

def test_pain_15_host_shutdown_gives_every_container_its_signal_and_its_time(host):
    all_policies(host, "sh", "-c", TRAP)
    host.detached("--stop-signal", "USR1", "--stop-timeout", str(int(20 * SLOW)), "--", "sh", "-c", TRAP.replace("TERM", "USR1"), name="usr1")
    host.detached("--stop-timeout", "1", "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done", name="deaf")
    host.detached("--stop-timeout", str(int(20 * SLOW)), "--", "sh", "-c", TRAP, name="paused")
    host.detached("--restart", "always", "--", "false", name="retries")
    host.berth("pod", "create", "--name", "p")
    host.detached("--pod", "p", "--stop-timeout", str(int(20 * SLOW)), "--restart", "always", "--", "sh", "-c", TRAP, name="member")
    names = [*POLICIES, "usr1", "paused", "member"]
    for name in [*names, "deaf"]:
        host.wait_log(name, "up")
    host.berth("pause", "paused")
    host.detached("--rm", "--", "sleep", "600", name="gone")
    host.wait_state("retries", "backoff")

    host.berth("shutdown", timeout=60)
    for name in names:
        s = host.status(name)
        assert s["last_exit"]["code"] == 7 and s["state"].endswith("EXITED"), (name, s)
        assert host.berth("logs", name).lines[-2:] == ["asked", "bye"]
    assert host.status("deaf")["last_exit"]["signal"] == 9
    assert "gone" not in states(host)
    eventually(lambda: "populated 0" in open(host.cgroup_dir + "/shared/cgroup.events").read(), "no group has a process")
    eventually(lambda: host.ask("info").get("shims", 0) == 0, "no shim is left")
    for args in (["start", "never"], ["restart", "always"], ["run", "busybox", "true"], ["upgrade"]):
        host.refused(*args, text="going down", code=None)
    time.sleep(0.3)
    assert not {"running", "starting", "stopping"} & set(states(host).values())
    host.berth("shutdown")      # again: at once

    host.kill()
    boot(host)
    assert_after_boot(host)
    for name in ("retries", "member"):
        assert host.wait_state(name, "running", "backoff", "starting")["desired_running"]
    host.wait_state("member", "running")
    for name in POLICIES:
        end = host.status(name)["last_exit"]
        assert end["known"] and end["code"] == 7


def test_a_shutdown_that_did_not_happen_is_over_with_the_next_berthd(host):
    all_policies(host, "sh", "-c", TRAP)
    host.wait_log("never", "up")
    host.berth("shutdown", timeout=60)
    host.restart()
    for name in ("always", "unless", "failure"):
        host.wait_state(name, "running")
    now = states(host)
    assert now["never"] == "exited" and {now[n + "-stopped"] for n in POLICIES} == {"stopped"}, now


def test_a_shutdown_is_answered_when_the_ends_are_on_disk():
    with disk() as d, private_host(state=d.path + "/state") as host:
        name = host.detached("--restart", "unless-stopped", "--", "sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
        host.wait_log(name, "up")
        host.settled()
        d.freeze()
        try:
            p = host.popen("shutdown")
            host.wait_state(name, "exited")
            time.sleep(0.3)
            assert p.poll() is None, "answered while no disk knows of the end"
        finally:
            d.thaw()
        assert p.wait(20 * SLOW) == 0, p.stderr.read()
        host.restart()
        assert host.wait_state(name, "running")["last_exit"]["code"] == 7


@pytest.mark.parametrize("verb, after", [("stop", "stopped"), ("restart", "running")])
def test_what_a_person_asked_for_goes_on_through_a_shutdown(host, verb, after):
    name = host.detached("--restart", "unless-stopped", "--", "sh", "-c", "trap 'sleep 0.5; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    host.wait_log(name, "up")
    p = host.popen(verb, "-t", "60", name)
    host.wait_state(name, "stopping")
    host.berth("shutdown", timeout=60)
    out, err = p.communicate(timeout=30 * SLOW)
    assert p.returncode == (verb != "stop"), err
    host.kill()
    boot(host)
    host.wait_state(name, after)


def test_a_shutdown_during_a_start_ends_it(host):
    name = host.berth("create", "--restart", "always", "busybox", "sleep", "600").text
    p = host.popen("start", name)
    host.berth("shutdown", timeout=60)
    p.communicate(timeout=30 * SLOW)
    assert host.state_of(name) in ("exited", "created")
    host.kill()
    boot(host)
    assert host.status(name).get("desired_running") or p.returncode
