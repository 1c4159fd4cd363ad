"""berthd may die at any moment: containers do not notice, nothing of the gap is lost, half done work is finished or undone."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import natively, private_host
from host import BIN, SLOW, cgroup_mount, eventually, processes
from proto import Refused, Session


def numbers(host, name):
    return [int(l.split()[0]) for l in host.berth("logs", name).lines]


# ---------------------------------------------------------------- re-adoption

def test_pain_2_readopt_after_kill_9_same_pid_and_uninterrupted_counter(host):
    name = host.detached("guest", "counter", "5")
    host.wait_log(name, "20 ")
    before = host.status(name)
    for _ in range(3):
        host.restart(signal.SIGKILL)
        after = host.status(name)
        assert {k: after.get(k) for k in ("pid", "shim_pid", "incarnation", "started_at", "state", "cgroup")} == \
            {k: before.get(k) for k in ("pid", "shim_pid", "incarnation", "started_at", "state", "cgroup")}
    seen = numbers(host, name)
    assert seen == list(range(1, len(seen) + 1))
    assert host.berth("exec", name, "echo", "entered").text == "entered"
    host.berth("stop", "-t", "0", name)
    assert host.status(name)["last_exit"]["known"]


def test_readopt_after_sigterm_of_berthd(host):
    name = host.detached("sleep", "600")
    pid = host.status(name)["pid"]
    assert host.kill(signal.SIGTERM) == 0
    assert pid in processes()
    host.start()
    assert host.status(name)["pid"] == pid


def empty_groups_go(host):
    for root, _, _ in os.walk(host.cgroup_dir, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(root)
    return not os.path.exists(host.cgroup_dir + "/jobs") or not host.jobs()


def test_groups_that_others_removed_are_made_again(host):
    """systemd takes the empty groups of a tree whose unit has ended; whoever did it, berthd goes on."""
    name = host.detached("sleep", "600")
    for _ in range(3):
        eventually(lambda: len(host.spares()) == 4, "the groups of spare shims are among them")
        eventually(lambda: empty_groups_go(host), "no group without a process is left")
        host.berth("top", name)         # a job
        host.run_("true")


@pytest.mark.native
def test_the_whole_tree_that_others_removed_is_made_again():
    config = os.path.join(os.environ["BERTH_TEST_DIR"], "no-spares.conf")
    with open(config, "w") as f:
        f.write("spare_shims = 0\n")
    with private_host(options=["--config", config]) as host:
        assert not host.spares()
        eventually(lambda: empty_groups_go(host) and not os.path.exists(host.cgroup_dir), "nothing is left at all")
        host.run_("true")
        host.berth("top", host.detached("sleep", "600"))


def test_exit_during_the_gap_is_not_lost(host, gate):
    a = host.detached(*gate.flags, "--", "sh", "-c", gate.WAIT + "exit 44")
    b = host.detached(*gate.flags, "--", "sh", "-c", gate.WAIT + "kill -9 $$", name="b")
    c = host.detached(*gate.flags, "--init", "--", "sh", "-c", gate.WAIT + "kill -9 $$", name="c")
    pids = [host.status(n)["pid"] for n in (a, b, c)]
    host.kill()
    gate.open()
    eventually(lambda: not set(pids[::2]) & set(processes()), "they have ended")
    host.start()
    e = host.wait_state(a, "exited")["last_exit"]
    assert e["known"] and e["code"] == 44
    e = host.wait_state(c, "exited")["last_exit"]
    assert e["known"] and (e.get("signal") == 9 or e["code"] == 137)
    host.berth("rm", "-f", b)


def test_exit_during_the_gap_is_followed_by_the_policy(host, gate):
    name = host.detached("--restart", "on-failure:1", *gate.flags, "--", "sh", "-c", gate.WAIT + "exit 1")
    pid = host.status(name)["pid"]
    host.settled()
    host.kill()
    gate.open()
    eventually(lambda: pid not in processes(), "it has ended")
    host.start()
    s = host.wait_state(name, "exited")
    assert s["restart_count"] == 1 and s["incarnation"] == 2


@pytest.mark.native
def test_log_lines_of_the_gap_are_not_lost(host):
    name = host.detached("guest", "counter", "2")
    host.wait_log(name, "10 ")
    folder = "%s/containers/%s/logs" % (host.state, host.inspect(name)["meta"]["uuid"])
    host.kill()

    def size():
        return sum(e.stat().st_size for e in os.scandir(folder))
    before = size()
    eventually(lambda: size() > before + 4000, "the log grows")
    host.start()
    seen = numbers(host, name)
    assert seen == list(range(1, len(seen) + 1)) and len(seen) > 50


def test_exit_whose_shim_was_killed_in_the_gap_comes_from_its_record(host, gate):
    name = host.detached(*gate.flags, "--", "sh", "-c", gate.WAIT + "exit 45")
    s = host.status(name)
    host.settled()
    host.kill()
    gate.open()
    eventually(lambda: s["pid"] not in processes(), "it has ended")
    eventually(lambda: [f for f in os.listdir(host.run + "/exits") if not f.startswith(".")], "the exit record")
    os.kill(s["shim_pid"], 9)
    dead = subprocess.Popen(["true"])
    dead.wait()
    open("%s/exits/.%s.%d.tmp" % (host.run, "00000000-0000-4000-8000-000000000000", dead.pid), "w").close()     # half a one, whose shim was killed over it
    host.start()
    e = host.wait_state(name, "exited")["last_exit"]
    assert e["known"] and e["code"] == 45


def test_shim_killed_in_the_gap_ends_its_container_and_nothing_is_orphaned(host):
    name = host.detached("guest", "tree", "4")
    host.wait_log(name, "tree up")
    s = host.status(name)
    host.settled()
    host.kill()
    os.kill(s["shim_pid"], 9)
    host.start()
    e = host.wait_state(name, "exited", "unknown")["last_exit"]
    assert not e.get("known") and e["reason"]
    eventually(lambda: s["pid"] not in processes(), "its processes are gone")


def test_everything_killed_at_once_is_like_a_power_cut_and_policies_decide(host):
    a = host.detached("--restart", "always", "--", "sleep", "600")
    b = host.detached("--restart", "unless-stopped", "--", "sleep", "600")
    c = host.detached("sleep", "600")
    d = host.detached("--restart", "unless-stopped", "--", "sleep", "600")
    host.berth("stop", "-t", "0", d)
    status = [host.status(n) for n in (a, b, c)]
    host.settled()
    host.kill()
    for s in status:
        os.kill(s["shim_pid"], 9)
        os.kill(s["pid"], 9)
    host.start()
    for n in (a, b):
        eventually(lambda: host.status(n)["state"].endswith("RUNNING") and host.status(n)["incarnation"] == 2, "%s runs again" % n)
    assert host.wait_state(c, "exited", "unknown")["last_exit"].get("known", False) is False
    assert host.state_of(d) == "stopped"


def test_paused_container_is_taken_back_paused(host):
    name = host.detached("sleep", "600")
    host.berth("pause", name)
    host.restart()
    assert host.state_of(name) == "paused"
    host.berth("unpause", name)
    assert host.state_of(name) == "running"


def test_stop_that_was_under_way_is_finished(host):
    name = host.detached("guest", "ignore-term")
    host.wait_log(name, "ignoring")
    p = host.popen("stop", "-t", "2", name)
    eventually(lambda: host.state_of(name) == "stopping", "stopping")
    host.restart()
    p.communicate(timeout=10 * SLOW)
    host.wait_state(name, "stopped", seconds=15)
    assert all(a.get("finished_at") for a in host.actions(name)), host.actions(name)


@pytest.mark.native
def test_backoff_goes_on_after_berthds_death(host):
    name = host.detached("--restart", "always", "--", "guest", "exit", "2")
    eventually(lambda: host.status(name).get("restart_count", 0) >= 3, "some restarts")
    eventually(lambda: host.status(name).get("restart_count", 0) >= 4, "four restarts")
    before = host.wait_state(name, "backoff")
    host.settled()
    count = before["restart_count"]
    host.restart()
    after = host.status(name)
    if after["state"].endswith("BACKOFF") and after["incarnation"] == before["incarnation"]:
        assert after["next_retry_at"] >= before["next_retry_at"] - 50e6, "the pause was shortened"
    eventually(lambda: host.status(name).get("restart_count", 0) > count, "one more restart", 20)


def test_exec_and_attach_sessions_go_on_without_berthd(host):
    name = host.detached("-i", "--", "cat")
    with host.client() as c:
        e = Session(c.request("container_exec", {"ref": name, "exec": {"command": ["sh", "-c", "read a; echo got $a; exit 7"], "want_stdin": True}})[1][0], 20 * SLOW)
        a = Session(c.request("container_attach", {"ref": name, "want_stdin": True})[1][0], 20 * SLOW)
    host.kill()
    e.write(b"word\n")
    out, _, (code, *_), _ = e.run()
    assert (out, code) == (b"got word\n", 7)
    a.write(b"through\n")
    a.read_until(b"through\n")
    host.start()
    a.write(b"again\n")
    a.read_until(b"again\n")
    a.close(), e.close()


def test_pods_are_taken_back_with_their_namespaces(host):
    host.berth("pod", "create", "--name", "p")
    a = host.detached("--pod", "p", "--", "sleep", "600")
    net = host.berth("exec", a, "readlink", "/proc/self/ns/net").text
    host.restart()
    b = host.detached("--pod", "p", "--", "sleep", "600")
    assert host.berth("exec", b, "readlink", "/proc/self/ns/net").text == net


@pytest.mark.native
def test_what_is_created_but_not_started_stays_so(host):
    host.berth("create", "--name", "c", "busybox", "true")
    host.restart()
    assert host.state_of("c") == "created"
    host.berth("start", "c")
    host.wait_state("c", "exited")


@pytest.mark.native
def test_ended_containers_keep_their_exit_and_logs(host):
    name = host.detached("sh", "-c", "echo kept; exit 12")
    host.wait_state(name, "exited")
    host.settled()
    host.restart()
    assert host.status(name)["last_exit"]["code"] == 12
    assert host.berth("logs", name).out == "kept\n"


@pytest.mark.native
def test_update_and_rename_are_remembered(host):
    name = host.detached("sleep", "600")
    host.berth("update", "--restart", "always", name)
    host.berth("rename", name, "kept")
    host.restart()
    assert host.inspect("kept")["spec"]["restart"]["kind"] == "ALWAYS"


def answered(p):
    """The tool was answered; or, on a machine so busy that berthd was dead before it could first connect, it asked nothing."""
    out, err = p.communicate(timeout=20 * SLOW)
    if p.returncode and b"berthd does not run" in err:
        return False
    assert p.returncode == 0, err
    return True


def test_kill_9_in_the_middle_of_creates_makes_each_exactly_once(host):
    """The tool asks again with the same client_token: whatever the moment of the kill was, there is one container of each name."""
    random.seed(3)
    all_asked = []
    for i in range(8):
        names = ["n%d-%d" % (i, k) for k in range(4)]
        ps = [host.popen("run", "-d", "--name", n, "busybox", "sleep", "600") for n in names]
        time.sleep(random.random() * 0.06 * SLOW)
        host.restart()
        asked = [n for n, p in zip(names, ps) if answered(p)]
        listed = [c["meta"]["name"] for c in host.list()]
        assert sorted(n for n in listed if n in names) == asked
        for n in asked:
            host.wait_state(n, "running")
        all_asked += asked
    assert all_asked, "not one of 32 was asked"


@pytest.mark.native
def test_what_was_acknowledged_is_there_after_kill_9(host):
    random.seed(4)
    for i in range(4):
        with host.client() as c:
            for k in range(6):
                c.ask("container_create", {"name": "a%d-%d" % (i, k), "start": True, "spec": {"image": "busybox", "command": ["sleep", "600"]}})
            done = []
            for _ in range(random.randrange(6)):
                env, _ = c.receive()
                if env.get("container_reply"):
                    done.append(env["container_reply"]["container"]["meta"]["uuid"])
            host.restart()
        for uuid in done:
            host.wait_state(uuid, "running")


@pytest.mark.native
def test_kill_9_in_the_middle_of_removals_leaves_nothing_half_removed(host):
    names = [host.detached("sleep", "600") for _ in range(12)]
    ps = [host.popen("rm", "-f", n) for n in names]
    time.sleep(0.01 * SLOW)
    host.restart()
    left = [n for n, p in zip(names, ps) if not answered(p)]
    assert sorted(c["meta"]["name"] for c in host.list()) == sorted(left)


@pytest.mark.native
def test_old_jobs_are_ended_by_the_next_berthd(host):
    name = host.detached("sleep", "600")
    p = host.popen("logs", "-f", name)
    host.wait_reader()
    host.restart()
    eventually(lambda: not host.jobs(), "no reader") if p.poll() is not None else None
    p.kill()
    p.communicate()


@pytest.mark.native
def test_second_berthd_on_one_state_folder_refuses_and_disturbs_nothing(host):
    name = host.detached("sleep", "600")
    p = subprocess.run(host.argv(), capture_output=True, timeout=20 * SLOW, text=True)
    assert p.returncode != 0 and "another berthd (pid %d) uses %s" % (host.daemon.pid, host.state) in p.stderr
    argv = host.argv()
    argv[argv.index("--run") + 1] = host.run + "-other"
    p = subprocess.run(argv, capture_output=True, timeout=20 * SLOW, text=True)
    assert p.returncode != 0 and "another berthd (pid %d) uses %s" % (host.daemon.pid, host.state) in p.stderr
    shutil.rmtree(host.run + "-other", ignore_errors=True)
    assert host.berth("exec", name, "echo", "well").text == "well"


@pytest.mark.native
def test_a_newer_state_is_refused_and_left_alone():
    import sqlite3
    with private_host() as host:
        host.kill(signal.SIGTERM)
        db = sqlite3.connect(host.state + "/berth.db")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = %d" % (version + 1000))
        db.close()
        p = subprocess.run(host.argv(), capture_output=True, timeout=20 * SLOW, text=True)
        assert p.returncode != 0 and "newer" in p.stderr
        db = sqlite3.connect(host.state + "/berth.db")
        assert db.execute("PRAGMA user_version").fetchone()[0] == version + 1000
        db.execute("PRAGMA user_version = %d" % version)
        db.close()
        host.start()


# ---------------------------------------------------------------- a shim dies

@pytest.mark.parametrize("policy, state", [("always", "running"), *natively(("no", "exited"), ("on-failure", "running"))])
def test_shim_killed_ends_its_container_unknown_and_the_policy_decides(host, policy, state):
    name = host.detached("--restart", policy, "--", "guest", "tree", "3")
    host.wait_log(name, "tree up")
    bystander = host.detached("sleep", "600")
    other = host.status(bystander)
    s = host.status(name)
    tree = [p["pid"] for p in host.ask("container_top", {"ref": name})["processes"]]
    os.kill(s["shim_pid"], 9)
    if state == "running":
        after = eventually(lambda: (lambda x: x if x["incarnation"] == 2 and x["state"].endswith("RUNNING") else None)(host.status(name)), "it runs again")
    else:
        after = host.wait_state(name, "exited", "unknown")
    assert not after["last_exit"].get("known") and "shim" in after["last_exit"]["reason"]
    eventually(lambda: not set(tree) & set(processes()), "no orphan of it")
    assert host.status(bystander) == other


def test_shim_killed_takes_along_what_no_pid_namespace_holds(host):
    """The kernel ends what shares a pid namespace with the container's first process; this has none of its own."""
    name = host.detached("--pid", "host", "--", "guest", "tree", "3")
    host.wait_log(name, "tree up")
    tree = [p["pid"] for p in host.ask("container_top", {"ref": name})["processes"]]
    assert len(tree) > 2
    os.kill(host.status(name)["shim_pid"], 9)
    host.wait_state(name, "exited", "unknown")
    eventually(lambda: not set(tree) & set(processes()), "no orphan of it")


# ---------------------------------------------------------------- upgrade in place

def copy_programs(folder):
    os.makedirs(folder, exist_ok=True)
    for p in ("berthd", "berth-job"):
        shutil.copy(os.path.join(BIN, p), folder)


def test_pain_2_upgrade_by_sighup_with_a_running_wait_and_logs_follow(host):
    name = host.detached("sh", "-c", "i=0; while [ ! -e /root/stop ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit 23")
    pid = host.status(name)["pid"]
    wait = host.popen("wait", name)
    logs = host.popen("logs", "-f", name)
    assert logs.stdout.readline() == b"0\n"
    generation = host.ask("info").get("generation", 0)
    for n in (1, 2):
        host.daemon.send_signal(signal.SIGHUP)
        eventually(lambda: answer(host).get("generation", 0) == generation + n, "upgraded")
    assert host.daemon.poll() is None and host.status(name)["pid"] == pid
    host.berth("exec", name, "touch", "/root/stop")
    out, err = wait.communicate(timeout=20 * SLOW)
    assert (out.decode().strip(), wait.returncode) == ("23", 0), err
    out, err = logs.communicate(timeout=20 * SLOW)
    rest = [int(x) for x in out.split()]
    assert rest == list(range(1, len(rest) + 1)), err
    host.fds_at_start = None


def answer(host):
    try:
        return host.ask("info")
    except (ConnectionError, EOFError, FileNotFoundError, Refused):
        return {}


def test_upgrade_takes_the_new_binary_and_keeps_shims_of_the_old():
    folder = os.path.join(os.environ["BERTH_TEST_DIR"], "programs")
    copy_programs(folder)
    with private_host(exe=folder + "/berthd") as host:
        name = host.detached("guest", "counter", "5")
        before = host.status(name)
        new = folder + "/berthd.new"
        shutil.copy(os.path.join(BIN, "berthd"), new)
        os.rename(new, folder + "/berthd")
        inode = os.stat(folder + "/berthd").st_ino
        host.berth("upgrade")
        eventually(lambda: answer(host).get("generation", 0) == 1, "upgraded")
        assert os.stat("/proc/%d/exe" % host.daemon.pid).st_ino == inode
        after = host.status(name)
        assert (after["pid"], after["shim_pid"]) == (before["pid"], before["shim_pid"])


@pytest.mark.native
@pytest.mark.parametrize("broken", ["no program", "dies at once", "cannot read the state"])
def test_upgrade_to_a_broken_binary_falls_back_to_the_old_one(broken):
    folder = os.path.join(os.environ["BERTH_TEST_DIR"], "programs")
    copy_programs(folder)
    with private_host(exe=folder + "/berthd") as host:
        name = host.detached("sleep", "600")
        pid = host.status(name)["pid"]
        os.unlink(folder + "/berthd")
        if broken == "no program":
            with open(folder + "/berthd", "w") as f:
                f.write("nothing to execute\n")
            os.chmod(folder + "/berthd", 0o755)
        elif broken == "dies at once":
            # It ends well whatever it is asked, and is no berthd.
            with open(folder + "/berthd", "w") as f:
                f.write("#!/bin/sh\ncase \"$*\" in *--check-state*) exit 0;; esac\nexit 9\n")
            os.chmod(folder + "/berthd", 0o755)
        else:
            shutil.copy("/bin/false", folder + "/berthd")
        r = host.berth("upgrade", code=None)
        eventually(lambda: answer(host).get("pid"), "it answers")
        assert host.daemon.poll() is None
        assert host.status(name)["pid"] == pid and host.berth("exec", name, "echo", "well").text == "well"
        assert r.code != 0 and "nothing has changed" in r.err
        host.run_("true")


@contextlib.contextmanager
def upgraded_in_vain(change=lambda program: program):
    """A berthd that another is to take over from, which does not get as far."""
    folder = os.path.join(os.environ["BERTH_TEST_DIR"], "programs")
    copy_programs(folder)
    with private_host(exe=folder + "/berthd") as host:
        old = os.stat(folder + "/berthd").st_ino
        with open(folder + "/berthd", "rb") as f:
            program = change(f.read())
        with open(folder + "/new", "wb") as f:
            f.write(program)
        os.chmod(folder + "/new", 0o755)
        os.rename(folder + "/new", folder + "/berthd")
        name = host.detached("sleep", "600")
        before = host.status(name)
        yield host
        eventually(lambda: "this is the old berthd again" in host.log() and answer(host).get("pid"), "it has gone back, and answers")
        assert host.daemon.poll() is None and os.stat("/proc/%d/exe" % host.daemon.pid).st_ino == old
        assert host.status(name) == before and host.berth("exec", name, "echo", "well").text == "well"


@pytest.mark.native
def test_a_new_berthd_that_cannot_start_gives_way_to_the_old_one():
    def broken(program):
        assert program.count(b"%s/boot_id\0") == 1
        return program.replace(b"%s/boot_id\0", b"%s/no/such\0")        # it accepts the state, and fails when it recovers
    with upgraded_in_vain(broken) as host:
        host.popen("upgrade").communicate(timeout=20 * SLOW)


@pytest.mark.native
def test_a_new_berthd_that_crashes_before_it_is_ready_gives_way_to_the_old_one():
    with upgraded_in_vain() as host:
        shim = host.status(host.detached("sleep", "600"))["shim_pid"]
        os.kill(shim, signal.SIGSTOP)       # the new one waits for it a while, and is not ready

        def guarded():
            with open("/proc/%d/status" % host.daemon.pid) as f:
                caught = int(re.search(r"^SigCgt:\s*(\S+)", f.read(), re.M)[1], 16)
            return caught >> signal.SIGSEGV - 1 & 1
        try:
            p = host.popen("upgrade")
            eventually(guarded, "the new one knows the way back", pause=0.001)
            host.daemon.send_signal(signal.SIGSEGV)
            p.communicate(timeout=20 * SLOW)
        finally:
            os.kill(shim, signal.SIGCONT)


def test_children_that_berthd_did_not_start_are_reaped():
    """What is orphaned comes to pid 1; who is executed in another's place has that one's children."""
    dead_before, dies_later = "true & wait $!; true &", "sleep 0.5 &"
    for child in (dead_before, dies_later):
        with private_host(before=["sh", "-c", child + ' exec "$@"', "sh"]) as host:
            host.run_("true")
            eventually(lambda: not [p for p in processes().values() if p[0] == "Z" and p[1] == host.daemon.pid], "no child is a zombie")
            assert host.ask("info")["pid"] == host.daemon.pid


@pytest.mark.native
def test_an_upgrade_with_settings_that_are_wrong_by_now_is_refused(tmp_path):
    config = tmp_path / "berthd.conf"
    config.write_text("spare_shims = 0\n")
    with private_host(options=["--config", str(config)]) as host:
        config.write_text("spare_shims = perhaps\n")
        host.refused("upgrade", text="nothing has changed")
        assert answer(host).get("generation", 0) == 0
        config.write_text("spare_shims = 1\n")
        host.berth("upgrade")
        eventually(lambda: answer(host).get("generation", 0) == 1, "upgraded")


# ---------------------------------------------------------------- leaks at chosen places

def test_pain_3_what_an_earlier_berthd_left_on_disk_and_in_the_tree_is_swept(host):
    name = host.detached("sleep", "600")
    host.kill()
    os.makedirs(host.cgroup_dir + "/shared/00000000-dead-4000-8000-000000000000/11111111-dead-4000-8000-000000000000.1/main")
    p = subprocess.Popen(["sleep", "600"])
    with open(host.cgroup_dir + "/shared/00000000-dead-4000-8000-000000000000/11111111-dead-4000-8000-000000000000.1/main/cgroup.procs", "w") as f:
        f.write(str(p.pid))
    os.makedirs(host.state + "/containers/11111111-dead-4000-8000-000000000000/upper")
    os.makedirs(host.state + "/trash/x/y")
    os.makedirs(host.state + "/images/tmp/half/z", exist_ok=True)
    with open(host.run + "/exits/11111111-dead-4000-8000-000000000000", "w") as f:
        f.write("left")
    host.start()
    assert p.wait(10 * SLOW) == -9
    eventually(lambda: not os.path.exists(host.cgroup_dir + "/shared/00000000-dead-4000-8000-000000000000"), "the group is gone")
    eventually(lambda: not os.path.exists(host.state + "/containers/11111111-dead-4000-8000-000000000000"), "the folder is gone")
    assert host.state_of(name) == "running"


def test_the_containers_group_is_where_inspect_says(host):
    name = host.detached("sleep", "600")
    s = host.status(name)
    assert "0::%s/main" % s["cgroup"] in open("/proc/%d/cgroup" % s["pid"]).read()
    assert os.path.isdir(cgroup_mount() + s["cgroup"])


def test_pain_7_the_backoff_is_not_forgotten_with_berthd(host):
    """A supervisor that crashes again and again must not make a storm of a container that does so too."""
    name = host.detached("--restart", "always", "--", "false")
    eventually(lambda: host.status(name).get("restart_count", 0) >= 4, "four restarts")
    for _ in range(4):
        host.restart()
        host.wait_state(name, "backoff", seconds=30)
    # The restarts of berthd may all fit into one pause: what counts is the pause after the next failure.
    before = host.status(name)["incarnation"]
    eventually(lambda: host.status(name)["incarnation"] > before, "the next run", 30)
    s = host.wait_state(name, "backoff", seconds=30)
    delay = (s["next_retry_at"] - s["last_exit"]["finished_at"]) / 1e6
    assert delay >= 80 * 2 ** (s["incarnation"] - 2), s


@pytest.mark.native
def test_an_orderly_end_in_the_middle_of_removals_is_one():
    with private_host() as host:
        for _ in range(4):
            tools = [host.popen("run", "--rm", "busybox", "true") for _ in range(16)]
            eventually(lambda: host.ask("info")["containers"] < 16 and any(p.poll() is not None for p in tools), "some are removed", pause=0)
            assert host.kill(signal.SIGTERM) == 0, host.log()[-2000:]
            host.start()
            for p in tools:
                p.communicate(timeout=60)
        eventually(lambda: not host.list(), "all are removed")
