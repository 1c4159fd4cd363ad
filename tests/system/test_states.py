"""The life of a container: states, what is refused in which, stop, kill, pause, wait, restart by hand."""

import os
import re
import signal
import time

import pytest

from conftest import private_host
from host import SLOW, eventually
from test_pains import disk


def in_state(host, state):
    name = host.name()
    if state == "created":
        host.berth("create", "--name", name, "busybox", "sleep", "60")
    elif state == "exited":
        host.detached("true", name=name)
        host.wait_state(name, "exited")
    else:
        host.detached("sleep", "60", name=name)
        if state == "paused":
            host.berth("pause", name)
        if state == "stopped":
            host.berth("stop", "-t", "0", name)
    assert host.state_of(name) == state
    return name


@pytest.mark.native
@pytest.mark.parametrize("state, verb, text", [
    ("exited", "pause", "cannot pause: container is Exited"),
    ("created", "pause", "cannot pause: container is Created"),
    ("stopped", "pause", "cannot pause: container is Stopped"),
    ("paused", "pause", "cannot pause: container is Paused"),
    ("running", "unpause", "cannot unpause: container is Running"),
    ("exited", "unpause", "cannot unpause: container is Exited"),
    ("exited", "kill", "cannot kill: container is Exited"),
    ("created", "kill", "cannot kill: container is Created"),
    ("running", "rm", "cannot remove: container is Running"),
    ("paused", "rm", "cannot remove: container is Paused"),
])
def test_a_verb_out_of_place_is_refused_and_says_the_state(host, state, verb, text):
    name = in_state(host, state)
    host.refused(verb, name, text=text)
    assert host.state_of(name) == state


@pytest.mark.native
@pytest.mark.parametrize("state, text", [("exited", "cannot exec: container is Exited"), ("paused", "cannot exec: container is Paused")])
def test_exec_out_of_place_is_refused(host, state, text):
    name = in_state(host, state)
    r = host.berth("exec", name, "true", code=None)
    assert r.code in (1, 125, 126) and text in r.err
    host.berth("rm", "-f", name)


@pytest.mark.native
def test_start_of_a_running_container_and_stop_of_an_ended_one_are_no_errors_or_clear_ones(host):
    name = in_state(host, "running")
    pid = host.status(name)["pid"]
    r = host.berth("start", name, code=None)
    assert r.code == 0 or "cannot start: container is Running" in r.err
    assert host.status(name)["pid"] == pid
    host.berth("stop", "-t", "0", name)
    r = host.berth("stop", name, code=None)
    assert r.code == 0 or "cannot stop: container is Stopped" in r.err


def test_every_end_and_start_is_a_new_incarnation(host):
    name = in_state(host, "running")
    first = host.status(name)
    host.berth("restart", "-t", "0", name)
    second = host.wait_state(name, "running")
    assert second["incarnation"] == first["incarnation"] + 1 and second["pid"] != first["pid"]
    host.berth("stop", "-t", "0", name)
    host.berth("start", name)
    assert host.wait_state(name, "running")["incarnation"] == first["incarnation"] + 2


# ---------------------------------------------------------------- stop, kill

def test_stop_sends_term_and_the_program_may_end_by_itself(host):
    name = host.detached("guest", "signals", "3")
    host.wait_log(name, "ready")
    host.berth("stop", name)
    s = host.status(name)
    assert s["state"] == "CONTAINER_STATE_STOPPED" and s["last_exit"]["code"] == 3 and s["stop_requested"]
    assert "got 15" in host.berth("logs", name).out


def test_stop_signal_of_the_spec_is_used(host):
    name = host.detached("--stop-signal", "USR2", "--", "sh", "-c", "trap 'echo usr2; exit 4' USR2; echo up; while :; do sleep 0.05; done")
    host.wait_log(name, "up")
    host.berth("stop", name)
    assert host.status(name)["last_exit"]["code"] == 4


def test_stop_kills_what_ignores_term_at_the_deadline(host):
    name = host.detached("guest", "ignore-term")
    host.wait_log(name, "ignoring")
    start = time.monotonic()
    host.berth("stop", "-t", "1", name)
    took = time.monotonic() - start
    assert 0.95 <= took < 1 + 1.5 * SLOW
    assert host.status(name)["last_exit"]["signal"] == 9


@pytest.mark.native
def test_stop_timeout_of_the_spec_is_used(host):
    name = host.detached("--stop-timeout", "1", "--", "guest", "ignore-term")
    host.wait_log(name, "ignoring")
    start = time.monotonic()
    host.berth("stop", name)
    assert 0.95 <= time.monotonic() - start < 1 + 1.5 * SLOW


@pytest.mark.native
def test_a_second_stop_with_a_shorter_deadline_shortens_it(host):
    name = host.detached("guest", "ignore-term")
    host.wait_log(name, "ignoring")
    slow = host.popen("stop", "-t", "60", name)
    eventually(lambda: host.state_of(name) == "stopping", "stopping")
    host.berth("stop", "-t", "0", name)
    assert slow.wait(10 * SLOW) == 0


def test_stop_reaches_a_paused_container(host):
    name = host.detached("guest", "signals", "3")
    host.wait_log(name, "ready")
    host.berth("pause", name)
    host.berth("stop", "-t", "60", name)
    assert host.state_of(name) == "stopped" and host.status(name)["last_exit"]["code"] == 3


def test_kill_of_a_stopping_container_ends_it(host):
    name = host.detached("guest", "ignore-term")
    host.wait_log(name, "ignoring")
    p = host.popen("stop", "-t", "60", name)
    eventually(lambda: host.state_of(name) == "stopping", "stopping")
    host.berth("kill", name)
    assert p.wait(10 * SLOW) == 0
    assert host.state_of(name) == "stopped"


def test_kill_sends_the_signal_that_was_asked_for(host):
    name = host.detached("guest", "signals")
    host.wait_log(name, "ready")
    for signal, number in (("HUP", 1), ("SIGUSR1", 10), ("12", 12), ("SIGRTMIN+3", 37), ("SIGWINCH", 28)):
        host.berth("kill", "-s", signal, name)
        host.wait_log(name, "got %d\n" % number)
    assert host.state_of(name) == "running"


@pytest.mark.native
@pytest.mark.parametrize("signal", ["NOPE", "0", "65", "-1", ""])
def test_wrong_signal_is_refused_and_nothing_is_sent(host, signal):
    name = in_state(host, "running")
    host.refused("kill", "--signal=" + signal, name, text="(?i)signal", code=2)
    assert host.state_of(name) == "running"


def test_kill_ends_every_process_of_the_container(host):
    name = host.detached("guest", "tree", "5")
    host.wait_log(name, "tree up")
    host.berth("kill", name)
    host.wait_state(name, "exited", "stopped")
    assert host.status(name)["last_exit"]["signal"] == 9


# ---------------------------------------------------------------- pause

def test_pause_stops_every_process_and_unpause_lets_them_go_on(host):
    name = host.detached("guest", "counter", "10")
    host.wait_log(name, "3 ")
    host.berth("pause", name)
    assert host.state_of(name) == "paused"

    def still():
        """What it had written is in the log, and there is nothing new."""
        seen = host.berth("logs", name).out
        time.sleep(0.3)
        return host.berth("logs", name).out == seen and seen
    before = eventually(still, "it counts no further")
    host.berth("unpause", name)
    assert host.state_of(name) == "running"
    eventually(lambda: len(host.berth("logs", name).out) > len(before), "counting again")
    numbers = [int(line.split()[0]) for line in host.berth("logs", name).lines]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("verb", ["kill -s USR1", "kill", "stop", "restart"])
def test_what_must_reach_a_paused_container_thaws_it_and_that_is_told(host, verb):
    since = time.time()
    name = host.detached("sh", "-c", "trap 'echo usr1' USR1; trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
    host.wait_log(name, "up")
    host.berth("pause", name)
    host.berth(*verb.split(), name)
    if verb == "kill -s USR1":
        assert host.state_of(name) == "running"
        eventually(lambda: "usr1" in host.berth("logs", name).out, "the signal reached it")
    elif verb == "restart":
        assert host.state_of(name) == "running"
    else:
        eventually(lambda: host.state_of(name) in ("stopped", "exited"), "ended")
    signal = {"kill -s USR1": "SIGUSR1", "kill": "SIGKILL"}.get(verb, "SIGTERM")
    own, = [a for a in host.actions(name) if a["verb"] == "unpause"]
    assert own["principal"] == "berthd" and own["result"] == "ok" and signal in own["reason"]
    events = host.berth("events", "--since", "@%d" % since, "--until", "@%d" % (time.time() + 1), "-f", "container=" + name, "--format", "{{.type}} {{.reason}}").lines
    told = events.index("unpause thawed, so that %s reaches it" % signal)
    assert [e.split()[0] for e in events[:told]] == ["create", "start", "pause"]


def test_rm_force_of_a_paused_container_works(host):
    name = in_state(host, "paused")
    host.berth("rm", "-f", name)
    assert host.list() == []


@pytest.mark.native
@pytest.mark.parametrize("paused", [False, True])
def test_rm_stop_lets_the_program_end_by_itself(host, paused):
    name = host.detached("-v", "work:/work", "--", "sh", "-c", "trap 'echo said > /work/goodbye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    host.wait_log(name, "up")
    if paused:
        host.berth("pause", name)
    host.berth("rm", "--stop", name)
    assert host.list() == []
    assert host.run_("-v", "work:/work", "--", "cat", "/work/goodbye").text == "said"


@pytest.mark.native
def test_rm_stop_kills_at_the_deadline_and_is_deleting_until_then(host):
    name = host.detached("--stop-timeout", "2", "--", "guest", "ignore-term")
    p = host.popen("rm", "--stop", name)
    host.wait_state(name, "deleting")
    host.refused("restart", name, text="cannot restart: container is Deleting")
    assert p.wait(10 * SLOW) == 0, p.stderr.read()
    assert host.list() == []


@pytest.mark.native
def test_rm_force_does_not_wait_for_an_rm_stop(host):
    name = host.detached("--stop-timeout", "60", "--", "guest", "ignore-term")
    p = host.popen("rm", "--stop", name)
    host.wait_state(name, "deleting")
    host.berth("rm", "-f", name, timeout=10)
    assert p.wait(10 * SLOW) == 0


@pytest.mark.native
def test_berthd_that_died_during_an_rm_stop_finishes_the_removal(host):
    """At once, or, if the kill was before the commit, when the tool has asked again and the stop's time is over."""
    name = host.detached("--stop-timeout", "3", "--", "guest", "ignore-term")
    p = host.popen("rm", "--stop", name)
    host.wait_state(name, "deleting")
    host.restart()
    p.wait(30 * SLOW)
    eventually(lambda: host.list() == [], "it is gone")


def test_kill_of_a_paused_container_is_not_lost(host):
    name = in_state(host, "paused")
    host.berth("kill", name)
    host.wait_state(name, "exited", "stopped")


# ---------------------------------------------------------------- wait

@pytest.mark.native
def test_wait_gives_the_exit_code_of_a_running_and_of_an_ended_container(host):
    name = host.detached("sh", "-c", "sleep 0.3; exit 9")
    assert host.berth("wait", name).text == "9"
    assert host.berth("wait", name).text == "9"


@pytest.mark.native
def test_wait_for_several_prints_each(host):
    names = [host.detached("guest", "exit", n) for n in (1, 2, 3)]
    assert host.berth("wait", *names).lines == ["1", "2", "3"]


@pytest.mark.native
def test_wait_for_the_removal(host):
    name = host.detached("--rm", "--", "sh", "-c", "sleep 0.2; exit 6")
    with host.client() as c:
        reply = c.request("container_wait", {"ref": name, "condition": "removed"})[0]
    assert reply["exit"]["code"] == 6
    assert host.list() == []


@pytest.mark.native
def test_a_container_that_goes_with_its_end_waits_for_no_disk():
    """Its row says that it goes: should a crash leave it, it goes again. Who asks for a removal waits for the disk."""
    with disk(128) as d, private_host(state=d.path + "/state") as host:
        name, other = host.detached("--rm", "--", "sleep", "600"), host.detached("sleep", "600")
        pid = host.status(name)["pid"]
        with host.client() as c:
            d.freeze()
            try:
                os.kill(pid, signal.SIGKILL)
                assert c.request("container_wait", {"ref": name, "condition": "removed"})[0]
                assert [x["meta"]["name"] for x in host.list()] == [other]
                rm = host.popen("rm", "-f", other)
                eventually(lambda: host.status(other)["state"] == "CONTAINER_STATE_DELETING", "it is being removed")
                assert rm.poll() is None
            finally:
                d.thaw()
        rm.communicate(timeout=60)
        assert rm.returncode == 0 and host.list() == []
        eventually(lambda: set(os.listdir(host.state + "/containers")) <= set(host.spares()), "nothing is left on disk")


@pytest.mark.native
def test_wait_is_answered_when_the_container_is_removed_under_it(host):
    name = host.detached("sleep", "60")
    p = host.popen("wait", name)
    eventually(lambda: host.ask("info")["clients"] >= 2, "waiting")
    host.berth("rm", "-f", name)
    p.communicate(timeout=10 * SLOW)
    assert p.returncode is not None


@pytest.mark.native
def test_wait_with_a_deadline_times_out_and_leaves_the_container_alone(host):
    name = in_state(host, "running")
    with host.client() as c:
        env, _ = c.answer(c.ask("container_wait", {"ref": name}, deadline_ms=200))
    assert env["error"]["code"] == "TIMEOUT"
    assert host.state_of(name) == "running"


# ---------------------------------------------------------------- inspect, ps

@pytest.mark.native
def test_inspect_shows_spec_status_and_what_is_in_force(host):
    name = host.detached("-e", "A=1", "--restart", "on-failure:4", "--", "sleep", "60")
    shown = host.berth("inspect", name).json()
    c = shown[0] if isinstance(shown, list) else shown
    c = c.get("container", c)
    assert c["meta"]["name"] == name and c["spec"]["restart"] == {"kind": "on_failure", "max_retries": 4}
    assert c["status"]["state"] == "running" and c["status"]["pid"] > 0 and c["status"]["shim_pid"] > 0
    assert "CAP_CHOWN" in c["status"]["in_force"]["capabilities"]
    assert c["status"]["in_force"]["seccomp"] == "default" and c["status"]["in_force"]["seccomp_instructions"] > 50
    assert c["image_id"].startswith("sha256:") and re.match(r"\d{4}-\d\d-\d\dT", c["status"]["started_at"])
    assert c["spec"]["stop_timeout_s"] == 10 and c["spec"]["log"]["max_files"] >= 2


@pytest.mark.native
def test_inspect_format_picks_one_field(host):
    name = in_state(host, "running")
    assert host.berth("inspect", "--format", ".status.pid", name).text == str(host.status(name)["pid"])


@pytest.mark.native
def test_exit_record_tells_code_times_and_reason(host):
    name = host.detached("guest", "exit", "77")
    e = host.wait_state(name, "exited")["last_exit"]
    assert e["known"] and e["code"] == 77 and not e.get("signal") and e["finished_at"] > e["started_at"]
    name = host.detached("--init", "--", "sh", "-c", "kill -9 $$")
    e = host.wait_state(name, "exited")["last_exit"]
    assert e["code"] == 137 and "KILL" in e["reason"] or e["signal"] == 9


@pytest.mark.native
def test_ps_shows_running_ones_and_all_with_a(host):
    up, down = in_state(host, "running"), in_state(host, "exited")
    out = host.berth("ps").out.split()      # an id may have a name within
    assert up in out and down not in out
    out = host.berth("ps", "-a").out.split()
    assert up in out and down in out
    listed = host.berth("ps", "-a", "--format", "json").out
    assert '"name"' in listed and down in listed
    assert len(host.berth("ps", "-aq").lines) == 2


@pytest.mark.native
def test_ps_pages_through_many(host):
    with host.client() as c:
        ids = [c.request("container_create", {"spec": {"image": "busybox"}})[0]["container"]["meta"]["id"] for _ in range(30)]
        seen, after = [], 0
        while True:
            page = c.request("container_list", {"all": True, "limit": 7, "after_id": after})[0]
            seen += [x["meta"]["id"] for x in page["containers"]]
            after = page.get("next_after_id", 0)
            if not after:
                break
    assert seen == sorted(ids, reverse=True)
    assert len(host.berth("ps", "-aq").lines) == 30


def test_top_lists_the_processes(host):
    name = host.detached("--init", "--", "sh", "-c", "sleep 61 & exec sleep 62")
    def both():
        got = host.ask("container_top", {"ref": name})["processes"]
        return got if {"sleep 61", "sleep 62"} <= {p["command"] for p in got} and len(got) == 3 else None
    rows = eventually(both, "both sleeps and the init")
    assert {p["container_pid"] for p in rows} >= {1}
    assert "sleep 62" in host.berth("top", name).out


def test_stats_once_shows_what_this_host_counts_and_names_what_it_does_not(host):
    name = host.detached("guest", "spin", "60000")
    s = host.ask("container_stats", {"refs": [name]})["stats"][0]
    assert s["name"] == name
    for controller, field in (("memory", "memory_bytes"), ("pids", "pids")):
        assert (field in s) != (controller in s.get("unavailable", [])), (field, s)
    first = s["cpu_usec"]
    eventually(lambda: host.ask("container_stats", {"refs": [name]})["stats"][0]["cpu_usec"] > first + 50000, "processor time")
    assert name in host.berth("stats", "--no-stream", name).out


def test_a_held_container_has_its_process_and_runs_nothing_before_start(host):
    with host.client() as c:
        c.request("container_create", {"name": "held", "spec": {"image": "busybox", "command": ["sh", "-c", "echo ran"], "hold_before_exec": True}})
    s = eventually(lambda: (lambda s: s if s.get("pid") else None)(host.status("held")), lambda: "its process: %r" % host.status("held"))
    assert s["state"] == "CONTAINER_STATE_CREATED", s
    assert host.berth("logs", "held").out == ""
    host.berth("start", "held")
    host.wait_state("held", "exited")
    assert host.berth("logs", "held").out == "ran\n"
