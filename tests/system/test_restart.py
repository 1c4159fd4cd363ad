"""Restart policies: who is started again, when, and that inspect says why."""

import os
import signal
import time

import pytest

from conftest import natively, private_host
from host import SLOW, eventually, processes


@pytest.mark.parametrize("policy, code, state, runs", [
    ("on-failure:2", 1, "exited", 3),
    *natively(("no", 1, "exited", 1), ("on-failure", 0, "exited", 1), ("on-failure:1", 3, "exited", 2)),
])
def test_policy_decides_how_often_it_runs(host, policy, code, state, runs):
    name = host.detached("--restart", policy, "--", "sh", "-c", "echo run; exit %d" % code)
    s = host.wait_state(name, state)
    assert host.berth("logs", name).lines == ["run"] * runs
    assert s.get("restart_count", 0) == runs - 1 and s["incarnation"] == runs and s["last_exit"].get("code", 0) == code


@pytest.mark.alone
@pytest.mark.parametrize("policy", ["always", *natively(("unless-stopped",), ("on-failure",))])
def test_a_killed_program_is_running_again_at_once(host, policy):
    took = []
    for _ in range(3):
        name = host.detached("--restart", policy, "--", "sleep", "600")
        first = host.status(name)
        with host.client() as c:
            c.request("container_exec", {"ref": name, "exec": {"command": ["true"], "detach": True}})

        os.kill(first["pid"], 9)
        s = eventually(lambda: (lambda s: s if s["incarnation"] == 2 and s["state"].endswith("RUNNING") else None)(host.status(name)), "second run")
        assert s["pid"] != first["pid"] and s["restart_count"] == 1 and s["last_exit"]["signal"] == 9
        took.append(s["started_at"] - s["last_exit"]["finished_at"])
        if took[-1] < 50e6 * SLOW:      # nanoseconds: the first restart has no delay; a busy machine may have its own, once
            break
    assert min(took) < 50e6 * SLOW, took


def mounts_held(shim):
    """The mount namespaces that a shim has open."""
    names = ["/proc/%d/fd/%s" % (shim, n) for n in os.listdir("/proc/%d/fd" % shim)]
    return {t for t in (os.readlink(n) for n in names if os.path.lexists(n)) if t.startswith("mnt:")}


def test_the_mounts_of_a_life_that_is_over_are_let_go(host):
    """An end is told before its mounts are taken down; then they are, and nothing of them is there in the next life."""
    name = host.detached("--restart", "always", "--", "sleep", "600")
    first = host.status(name)
    own = os.readlink("/proc/%d/ns/mnt" % first["pid"])
    with open("/proc/%d/ns/mnt" % first["pid"]):        # while it is there nothing else gets its number
        eventually(lambda: mounts_held(first["shim_pid"]) == {own}, "the shim holds them")
        os.kill(first["pid"], 9)
        s = eventually(lambda: (lambda s: s if s["incarnation"] == 2 and s["state"].endswith("RUNNING") else None)(host.status(name)), "second run")
        next_ = os.readlink("/proc/%d/ns/mnt" % s["pid"])
        assert next_ != own
        eventually(lambda: mounts_held(s["shim_pid"]) == {next_}, lambda: "they are gone: %r" % mounts_held(s["shim_pid"]))


@pytest.mark.parametrize("flags", [["-v", "/tmp:/host"], ["--privileged"]], ids=["bind", "privileged"])
def test_what_the_host_may_want_back_is_free_when_the_end_is_known(host, flags):
    name = host.detached(*flags, "--", "sleep", "600")
    host.berth("exec", name, "true")        # the shim has done all that it does at a start
    assert mounts_held(host.status(name)["shim_pid"]) == set()


def running_again(host, name, incarnation=2):
    def runs():
        s = host.status(name)
        return s["incarnation"] >= incarnation and s["state"].endswith("RUNNING") and s
    return eventually(runs, "its next life")


def groups_of(host, uuid):
    return {d for d in os.listdir("%s/shared/%s" % (host.cgroup_dir, uuid)) if d.startswith(uuid)}


def next_process(host, box, number):
    """Who stands by in the group of the life `number`; None."""
    try:
        with open("%s/shared/%s/%s.%d/main/cgroup.procs" % (host.cgroup_dir, box["meta"]["uuid"], box["meta"]["uuid"], number)) as f:
            return int((f.read().split() or [0])[0]) or None
    except FileNotFoundError:
        return None


def ended_unheard(host, *flags, box=None):
    """A container whose program was killed while berthd cannot hear of it, and who stands by for its next life."""
    box = box or host.inspect(host.detached(*(flags or ("--restart", "always")), "--", "sleep", "600"))
    os.kill(host.daemon.pid, signal.SIGSTOP)
    os.kill(box["status"]["pid"], 9)
    return box, eventually(lambda: next_process(host, box, 2), "somebody stands by")


def test_the_next_life_goes_on_with_a_process_that_was_made_while_the_end_was_told():
    with private_host() as host:
        for _ in range(8):          # on a busy machine it may be dropped before berthd goes on: it waits for a second
            box, began = ended_unheard(host)
            os.kill(host.daemon.pid, signal.SIGCONT)
            now = running_again(host, box["meta"]["uuid"])
            assert now["incarnation"] == 2 and groups_of(host, box["meta"]["uuid"]) >= {box["meta"]["uuid"] + ".2"}
            if now["pid"] == began:
                return
        pytest.fail("the next life is that of another process each time")


@pytest.mark.native
def test_the_next_life_of_who_has_networks_has_them_all_in_its_hosts():
    """The process that stands by for it was made of the plan of the first life, which had one."""
    with private_host(before=["unshare", "--net"]) as host:     # two berth-nets in one would fight for the table
        host.berth("network", "create", "--subnet", "10.94.3.0/24", "later")
        for _ in range(8):
            name = host.detached("--restart", "always", "--network", "default", "--", "sleep", "600")
            host.berth("network", "connect", "later", name)
            box = host.inspect(name)
            began = ended_unheard(host, box=box)[1]
            os.kill(host.daemon.pid, signal.SIGCONT)
            now = running_again(host, name)
            hosts = [l.split() for l in host.berth("exec", name, "cat", "/etc/hosts").lines if not l.startswith("#")]
            own = {a for n in host.inspect(name)["networks"] for a in n["addresses"]}
            assert len(own) == 3 and {l[0] for l in hosts if l[1] == box["meta"]["uuid"].replace("-", "")[:12]} == own
            if now["pid"] == began:
                break
        else:
            pytest.fail("the next life is that of another process each time")


def test_a_next_life_that_nobody_asks_for_does_not_wait_for_long():
    with private_host() as host:
        box, began = ended_unheard(host)
        eventually(lambda: began not in processes(), "it has ended", 20)
        os.kill(host.daemon.pid, signal.SIGCONT)
        assert running_again(host, box["meta"]["uuid"])["pid"] != began


def test_berthd_dies_while_somebody_stands_by_for_a_next_life():
    with private_host() as host:
        box, began = ended_unheard(host)
        uuid = box["meta"]["uuid"]
        host.restart()
        now = running_again(host, uuid)
        eventually(lambda: groups_of(host, uuid) == {"%s.%d" % (uuid, now["incarnation"])}, lambda: "one group: %r" % groups_of(host, uuid))
        eventually(lambda: now["pid"] == began or began not in processes(), "who stood by has ended")
        assert now["restart_count"] == 1 and host.berth("exec", uuid, "hostname").text == uuid.replace("-", "")[:12]


def test_a_berthd_that_comes_before_it_hears_of_the_end_leaves_the_next_life_its_group():
    with private_host() as host:
        box, _ = ended_unheard(host)
        uuid = box["meta"]["uuid"]
        os.kill(box["status"]["shim_pid"], signal.SIGSTOP)      # what it has to tell comes after the sweep
        try:
            host.restart()
            assert uuid + ".2" in groups_of(host, uuid) and host.status(uuid)["incarnation"] == 1
        finally:
            os.kill(box["status"]["shim_pid"], signal.SIGCONT)
        now = running_again(host, uuid)
        assert now["incarnation"] == 2 and now["restart_count"] == 1
        assert host.berth("exec", uuid, "hostname").text == uuid.replace("-", "")[:12]


def test_a_shim_dies_while_somebody_stands_by_for_a_next_life():
    with private_host() as host:
        box, began = ended_unheard(host)
        os.kill(box["status"]["shim_pid"], 9)
        os.kill(host.daemon.pid, signal.SIGCONT)
        now = running_again(host, box["meta"]["uuid"])
        eventually(lambda: began not in processes(), "who stood by has ended")
        assert now["shim_pid"] != box["status"]["shim_pid"] and now["pid"] != began


@pytest.mark.parametrize("how", ["by itself", "stopped"])
def test_who_ends_for_good_leaves_nothing_of_a_next_life(host, how):
    name = host.detached("--restart", "on-failure" if how == "by itself" else "always", "--", *(["true"] if how == "by itself" else ["sleep", "600"]))
    if how == "stopped":
        host.berth("stop", "-t", "0", name)
    host.wait_state(name, "exited" if how == "by itself" else "stopped")
    eventually(lambda: groups_of(host, host.inspect(name)["meta"]["uuid"]) == set(), "no groups")
    assert host.status(name)["incarnation"] == 1


def test_the_next_life_finds_what_the_first_one_found(host):
    look = ("cd /dev; ls -ln . pts shm | sed 's/ [A-Z][a-z][a-z] .* / /'; sed 's/^[^ ]* \\([^ ]*\\) \\([^ ]*\\) .*/\\1 \\2/' /proc/mounts | sort; cat /etc/hosts; hostname; "
            "ls /sys /sys/class/net; stat -c '%a %u %g' / /dev /dev/shm /etc/hosts; grep -E 'id|Cap|Sec|NoNew|Groups|SigB|SigI|SigC' /proc/1/status; ls /proc/1/fd; "
            "cat /proc/1/oom_score_adj /proc/1/limits /proc/1/cgroup; echo left > /dev/shm/left; echo end; exec sleep 600")
    name = host.detached("--restart", "always", "--", "sh", "-c", look)
    first = eventually(lambda: (lambda l: l if l[-1:] == ["end"] else None)(host.berth("logs", name).lines), "what it finds")
    os.kill(host.status(name)["pid"], 9)
    running_again(host, name)
    both = eventually(lambda: (lambda l: l if l.count("end") == 2 else None)(host.berth("logs", name).lines), "what the next one finds")
    assert both[len(first):] == first


def test_always_starts_again_after_success_too(host):
    name = host.detached("--restart", "always", "--", "true")
    eventually(lambda: host.status(name).get("restart_count", 0) >= 2, "two restarts")


def test_backoff_grows_and_inspect_shows_count_next_retry_and_reason(host):
    name = host.detached("--restart", "always", "--", "guest", "exit", "5")
    s = host.wait_state(name, "backoff")
    assert s["next_retry_at"] > time.time() * 1e9 - 2e9 * SLOW
    assert "always" in s["restart_decision"] and "5" in s["restart_decision"] and "ms" in s["restart_decision"]
    assert s["last_exit"]["code"] == 5
    delays = {}

    def collect():
        s = host.status(name)
        if s["state"].endswith("BACKOFF"):
            delays[s["incarnation"]] = (s["next_retry_at"] - s["last_exit"]["finished_at"]) / 1e6
        return len(delays) >= 3
    eventually(collect, lambda: "three delays: %r" % delays, 20, 0.005)
    pairs = sorted(delays.items())
    for (n, a), (m, b) in zip(pairs, pairs[1:]):
        assert b > a * 1.5 * (m - n) ** 0.5 * 0.8, pairs
    for n, delay in pairs:
        assert 80 * 2 ** (n - 2) <= delay <= 130 * 2 ** (n - 2) + 200 * SLOW, pairs


def test_stop_ends_the_backoff_and_it_stays_stopped(host):
    name = host.detached("--restart", "always", "--", "false")
    host.wait_pause(name)
    host.berth("stop", name)
    assert host.state_of(name) == "stopped" and host.status(name)["restart_decision"] == "stopped while it waited: no restart"
    count = host.status(name)["incarnation"]
    time.sleep(0.5)
    assert host.status(name)["incarnation"] == count


def test_start_by_an_operator_works_in_backoff_and_clears_it(host, gate):
    name = host.detached("--restart", "always", *gate.flags, "--", "sh", "-c", "test -e /gate/open && exec sleep 600; exit 1")
    assert host.wait_pause(name)["restart_count"] >= 3
    gate.open()
    host.berth("start", name)
    assert host.status(name).get("restart_count", 0) == 0 and host.state_of(name) == "running"


@pytest.mark.parametrize("policy", ["always", *natively(("unless-stopped",), ("on-failure",))])
def test_stop_by_an_operator_is_no_reason_to_restart(host, policy):
    name = host.detached("--restart", policy, "--", "sleep", "600")
    host.berth("stop", "-t", "0", name)
    time.sleep(0.3)
    assert host.state_of(name) == "stopped"


def test_failed_start_under_a_policy_is_retried_with_backoff_and_says_why(host):
    r = host.berth("run", "-d", "--name", "bad", "--restart", "always", "busybox", "/bin/nope", code=None)
    assert r.code == 127 and "exec /bin/nope: No such file or directory" in r.err
    if host.list():
        s = host.status("bad")
        assert "nope" in s["status_reason"] or "nope" in s.get("restart_decision", "")


def test_restart_by_hand_of_running_ended_and_paused(host):
    name = host.detached("sleep", "600")
    first = host.status(name)
    host.berth("restart", "-t", "0", name)
    assert host.wait_state(name, "running")["pid"] != first["pid"]
    host.berth("stop", "-t", "0", name)
    host.berth("restart", name)
    host.wait_state(name, "running")
    host.berth("pause", name)
    host.berth("restart", "-t", "0", name)
    host.wait_state(name, "running")


def test_update_of_the_policy_takes_effect_at_the_next_end(host, gate):
    name = host.detached(*gate.flags, "--", "sh", "-c", gate.WAIT + "exit 1")
    host.berth("update", "--restart", "on-failure:1", name)
    gate.open()
    s = host.wait_state(name, "exited")
    assert s["restart_count"] == 1
    assert host.inspect(name)["spec"]["restart"] == {"kind": "ON_FAILURE", "max_retries": 1}


def test_log_and_files_of_all_runs_are_one(host):
    name = host.detached("--restart", "on-failure:3", "--", "sh", "-c", "echo x >> /root/n; wc -l < /root/n; exit 1")
    host.wait_state(name, "exited")
    assert host.berth("logs", name).lines == ["1", "2", "3", "4"]


def test_inspect_keeps_the_last_exit_while_the_next_run_goes_on(host):
    name = host.detached("--restart", "on-failure:1", "--", "sh", "-c", "test -e /root/second && exec sleep 600; touch /root/second; exit 66")
    s = eventually(lambda: (lambda s: s if s["incarnation"] == 2 and s["state"].endswith("RUNNING") else None)(host.status(name)), "second run")
    assert s["last_exit"]["code"] == 66 and s["last_exit"]["incarnation"] == 1


def test_a_policy_that_is_changed_reaches_a_retry_that_waits(host):
    name = host.detached("--restart", "always", "--", "sh", "-c", "exit 3")
    host.wait_pause(name)
    host.berth("update", "--restart", "no", name)
    host.wait_state(name, "exited")
    assert "changed" in host.status(name)["restart_decision"]
