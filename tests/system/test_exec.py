"""exec, attach and detach: streams, terminals, exit codes, and what happens when one side goes away."""

import os
import pty
import select
import signal
import struct
import fcntl
import termios
import time

import pytest

from host import SLOW, cgroup_mount, eventually
from proto import SESSION_DETACH, Session


@pytest.fixture
def box(host):
    return host.detached("-e", "FROM=container", "--", "sleep", "600")


def read_pty(fd, wanted, seconds=10):
    out, end = b"", time.monotonic() + seconds * SLOW
    os.set_blocking(fd, False)
    while wanted not in out:
        try:
            out += os.read(fd, 4096)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            break
        assert time.monotonic() < end, "no %r in %r" % (wanted, out)
    return out


# ---------------------------------------------------------------- exec

@pytest.mark.parametrize("command, code", [(["true"], 0), (["guest", "exit", "42"], 42), (["/bin/none"], 127), (["/bin/not-executable"], 126),
                                           (["sh", "-c", "kill -9 $$"], 137)])
def test_exec_passes_the_exit_code_on(host, box, command, code):
    host.berth("exec", box, *command, code=code)


def test_exec_failure_names_step_and_errno(host, box):
    assert "exec /bin/none: No such file or directory" in host.berth("exec", box, "/bin/none", code=127).err


def test_exec_keeps_streams_apart_and_passes_stdin(host, box):
    r = host.berth("exec", "-i", box, "sh", "-c", "cat; echo err >&2", input="in\n")
    assert (r.out, r.err) == ("in\n", "err\n")
    assert host.berth("exec", box, "cat", input="lost").out == ""


def test_exec_moves_much_data_both_ways_and_loses_none(host, box):
    data = os.urandom(400000).hex()
    assert host.berth("exec", "-i", box, "cat", input=data).out == data


def test_exec_has_the_containers_environment_and_its_own(host, box):
    out = host.berth("exec", "-e", "OWN=1", box, "env").lines
    assert "FROM=container" in out and "OWN=1" in out and "PATH=/bin:/usr/bin" in out


def test_exec_workdir_and_user(host, box):
    assert host.berth("exec", "-w", "/tmp", "-u", "alice", box, "sh", "-c", "pwd; id -u; id -G; echo $HOME").lines == \
        ["/tmp", "1000", "1000 2000", "/home/alice"]


def test_exec_is_confined_as_the_container_is(host, box):
    main = host.run_("guest", "status").lines
    inside = host.berth("exec", box, "guest", "status").lines
    assert [l for l in inside if not l.startswith("Sig")] == [l for l in main if not l.startswith("Sig")]


def test_exec_of_another_user_has_no_effective_capabilities(host, box):
    status = dict(l.split(":\t") for l in host.berth("exec", "-u", "1000", box, "guest", "status").lines if ":\t" in l)
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0


def test_exec_sees_the_containers_namespaces(host, box):
    script = "for n in cgroup ipc mnt net pid uts; do readlink /proc/%s/ns/$n; done"
    assert host.berth("exec", box, "sh", "-c", script % "1").lines == host.berth("exec", box, "sh", "-c", script % "self").lines


def test_exec_tty_has_a_terminal_and_its_size_follows(host, box):
    with host.client() as c:
        reply, fds = c.request("container_exec", {"ref": box, "exec": {"command": ["guest", "winsize"], "tty": True, "want_stdin": True,
                                                                       "rows": 11, "cols": 22}})
    s = Session(fds[0], 20 * SLOW)
    s.read_until(b"window 11 22")
    s.resize(33, 44)
    s.read_until(b"window 33 44")
    s.signal(signal.SIGKILL)
    assert s.run()[2][1] == signal.SIGKILL
    s.close()


def test_exec_it_from_a_real_terminal_passes_size_keys_and_code(host, box):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 66, 0, 0))
    p = host.popen("exec", "-it", box, "sh", "-c", "stty size; tty; read line; echo got $line; exit 12", stdin=slave, stdout=slave, stderr=slave,
                   start_new_session=True)
    read_pty(master, b"/dev/pts/0")
    os.write(master, b"typed\r")
    out = read_pty(master, b"got typed")
    assert p.wait(10 * SLOW) == 12, out
    os.close(master), os.close(slave)


def test_exec_it_goes_on_when_its_user_detaches_with_output_unread(host, box):
    with host.client() as c:
        reply, fds = c.request("container_exec", {"ref": box, "exec": {"command": ["sh", "-c", "echo ready; sleep 603"], "tty": True, "want_stdin": True}})
    s = Session(fds[0], 20 * SLOW)
    eventually(lambda: select.select([s.sock], [], [], 0)[0], "something to be read")
    shim = host.status(box)["shim_pid"]
    os.kill(shim, signal.SIGSTOP)           # it hears of both at once
    s.sock.send(bytes([SESSION_DETACH]))
    s.close()
    os.kill(shim, signal.SIGCONT)

    def commands():
        return [r["command"] for r in host.ask("container_top", {"ref": box})["processes"]]
    eventually(lambda: "sleep 603" in commands(), "it goes on")
    host.berth("exec", box, "true")         # the shim has seen that the session is over
    assert "sleep 603" in commands()


@pytest.mark.parametrize("leave, runs", [("detach", True), ("die", False)])
def test_exec_it_goes_on_when_its_user_detaches_and_is_hung_up_when_he_is_lost(host, box, leave, runs):
    master, slave = pty.openpty()
    p = host.popen("exec", "-it", box, "sh", "-c", "echo ready; sleep 0.5; echo to nobody; exec sleep 602", stdin=slave, stdout=slave, stderr=slave)
    read_pty(master, b"ready")
    if leave == "detach":
        os.write(master, b"\x10\x11")
        assert p.wait(10 * SLOW) == 0
    else:
        p.kill()
        p.wait()

    def commands():
        return [r["command"] for r in host.ask("container_top", {"ref": box})["processes"]]
    if runs:
        eventually(lambda: "sleep 602" in commands(), "it goes on, and its output is read away")
    else:
        eventually(lambda: len(commands()) == 1, "SIGHUP ended it")
    os.close(master), os.close(slave)


def test_exec_it_restores_the_terminal(host, box):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = host.popen("exec", "-it", box, "true", stdin=slave, stdout=slave, stderr=slave)
    assert p.wait(10 * SLOW) == 0
    assert termios.tcgetattr(slave) == before
    os.close(master), os.close(slave)


@pytest.mark.native
def test_exec_tty_without_a_terminal_is_refused(host, box):
    r = host.berth("exec", "-it", box, "true", code=None)
    assert r.code == 0 or "terminal" in r.err.lower() or "tty" in r.err.lower()


def test_exec_timeout_kills_the_whole_group(host, box):
    with host.client() as c:
        reply, fds = c.request("container_exec", {"ref": box, "exec": {"command": ["guest", "tree", "4"], "timeout_ms": int(300 * SLOW)}})
    s = Session(fds[0], 20 * SLOW)
    out, err, (code, sig, timed_out, failed), _ = s.run()
    assert timed_out and sig == 9
    eventually(lambda: len(host.ask("container_top", {"ref": box})["processes"]) == 1, "only the container's own process is left")
    s.close()


def test_exec_detached_runs_on(host, box):
    host.berth("exec", "-d", box, "sh", "-c", "sleep 0.2; echo done > /root/flag")
    eventually(lambda: host.berth("exec", box, "cat", "/root/flag", code=None).text == "done", "the flag", 10, 0.1)


def test_exec_group_is_gone_after_it(host, box):
    group = cgroup_mount() + host.status(box)["cgroup"]
    for _ in range(5):
        host.berth("exec", box, "true")
    eventually(lambda: [d for d in os.listdir(group) if d.startswith("exec-")] == [], "no exec groups")


def test_exec_whose_client_goes_away_without_a_terminal_sees_its_pipes_close(host, box):
    p = host.popen("exec", "-i", box, "sh", "-c", "cat; sleep 600")
    eventually(lambda: len(host.ask("container_top", {"ref": box})["processes"]) >= 2, "the exec runs")
    p.kill()
    p.wait()
    # What happens to the program is its own affair (as in Docker); the container goes on and can be left clean.
    assert host.state_of(box) == "running"


def test_exec_of_many_at_once(host, box):
    ps = [host.popen("exec", box, "sh", "-c", "echo %d; exit %d" % (i, i)) for i in range(20)]
    for i, p in enumerate(ps):
        out, err = p.communicate(timeout=30 * SLOW)
        assert (out.decode().strip(), p.returncode) == (str(i), i), err


def test_container_end_ends_its_execs(host):
    name = host.detached("sleep", "600")
    p = host.popen("exec", name, "sleep", "601")
    eventually(lambda: "sleep 601" in [r["command"] for r in host.ask("container_top", {"ref": name})["processes"]], "the exec runs")
    host.berth("kill", name)
    p.communicate(timeout=10 * SLOW)
    assert p.returncode == 137


@pytest.mark.native
def test_exec_in_an_unknown_container_is_refused(host):
    r = host.berth("exec", "nobody", "true", code=None)
    assert r.code in (1, 125) and "nobody" in r.err


def test_exec_back_pressures_a_client_that_does_not_read(host, box):
    with host.client() as c:
        _, fds = c.request("container_exec", {"ref": box, "exec": {"command": ["guest", "logflood", "200000", "100"]}})
    s = Session(fds[0], 30 * SLOW)
    time.sleep(0.3)
    host.ask("info")                     # nobody else waits for it
    out, err, (code, *_), _ = s.run()
    assert out.count(b"\n") == 200000 and code == 0
    s.close()


# ---------------------------------------------------------------- attach

def test_attach_sees_output_and_ends_with_the_container_and_its_code(host):
    name = host.detached("-i", "--", "sh", "-c", "read x; echo later; exit 3")
    r = host.berth("attach", name, input="go\n", code=3)
    assert r.out == "later\n"


@pytest.mark.native
def test_attach_to_an_ended_container_is_refused(host):
    name = host.detached("true")
    host.wait_state(name, "exited")
    r = host.berth("attach", name, code=None)
    assert r.code != 0 and "container is Exited" in r.err


def test_attach_passes_stdin_where_it_is_open(host):
    name = host.detached("-i", "--", "cat")
    p = host.popen("attach", name)
    p.stdin.write(b"through\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"through\n"
    p.stdin.close()
    p.kill()
    p.wait()
    host.berth("kill", name)


def attached(host, name, terminal):
    """berth attach, as far as that the terminal is the container's."""
    p = host.popen("attach", name, stdin=terminal, stdout=terminal, stderr=terminal)
    eventually(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, "the terminal is raw")
    return p


def test_detach_keys_leave_the_container_running(host):
    name = host.detached("-it", "--", "sh")
    master, slave = pty.openpty()
    p = attached(host, name, slave)
    os.write(master, b"echo $((40+2))\r")
    read_pty(master, b"42")
    os.write(master, b"\x10\x11")
    assert p.wait(10 * SLOW) == 0
    assert host.state_of(name) == "running"
    os.close(master), os.close(slave)


def test_run_it_and_detach_then_attach_again(host):
    master, slave = pty.openpty()
    p = host.popen("run", "-it", "--name", "it", "busybox", "sh", stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    read_pty(master, b"# ")
    os.write(master, b"\x10\x11")
    assert p.wait(10 * SLOW) == 0
    assert host.state_of("it") == "running"
    p = attached(host, "it", slave)
    os.write(master, b"exit 8\r")
    read_pty(master, b"exit 8")
    assert p.wait(10 * SLOW) == 8
    os.close(master), os.close(slave)


def test_a_second_attacher_sees_the_same_and_a_slow_one_is_dropped_alone(host):
    with host.client() as c:
        c.request("container_create", {"name": "two", "start": True, "spec": {
            "image": "busybox", "command": ["sh", "-c", "read x; guest logflood 100000 100 2>/dev/null; echo end"], "stdin_open": True}})
        fast = Session(c.request("container_attach", {"ref": "two", "want_stdin": True})[1][0], 60 * SLOW)
        slow = Session(c.request("container_attach", {"ref": "two"})[1][0], 60 * SLOW)
    fast.write(b"go\n")
    host.wait_state("two", "exited", seconds=30)     # the slow one does not hold it
    host.berth("rm", "-f", "two")
    fast.close(), slow.close()


def test_run_attached_gets_the_first_byte_of_output(host):
    for _ in range(10):
        assert host.run_("echo", "first").out == "first\n"


def test_run_whose_client_is_killed_leaves_the_container_running(host):
    p = host.popen("run", "--name", "left", "busybox", "sleep", "600")
    eventually(lambda: host.list() and host.list()[0]["state"] == "CONTAINER_STATE_RUNNING", "running")
    p.kill()
    p.wait()
    assert host.state_of("left") == "running"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_run_attached_passes_signals_on(host, sig):
    p = host.popen("run", "--name", "sig", "busybox", "sh", "-c", "trap 'echo got; exit 21' INT TERM; echo up; while :; do sleep 0.05; done",
                   start_new_session=True)
    assert p.stdout.readline() == b"up\n"
    p.send_signal(sig)
    assert p.wait(10 * SLOW) == 21
