"""berth run and its flags, one by one; exit codes as Docker's users know them."""

import os
import re

import pytest

from conftest import natively
from host import eventually


# ---------------------------------------------------------------- exit codes

@pytest.mark.parametrize("code", [42, *natively((0,), (1,), (255,))])
def test_run_passes_the_exit_code_on(host, code):
    host.run_("guest", "exit", code, code=code)


def test_run_passes_output_on_and_keeps_the_streams_apart(host):
    r = host.run_("sh", "-c", "echo out; echo err >&2")
    assert (r.out, r.err) == ("out\n", "err\n")


@pytest.mark.parametrize("signal, code", [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_death_by_a_signal_is_128_and_the_signal(host, signal, code):
    r = host.run_("--init", "--", "sh", "-c", "kill -%s $$" % signal, code=code)
    assert r.out == ""


def test_unknown_program_is_127_and_names_step_and_errno(host):
    r = host.run_("/bin/no-such-program", code=127)
    assert "exec /bin/no-such-program: No such file or directory" in r.err


def test_unknown_program_without_a_path_is_127(host):
    r = host.run_("no-such-program", code=127)
    assert "no-such-program" in r.err and "No such file or directory" in r.err


@pytest.mark.parametrize("program, errno", [("/bin/not-executable", "Permission denied"), ("/bin", "Permission denied"),
                                            ("/bin/bad-format", "Exec format error")])
def test_program_that_cannot_be_executed_is_126(host, program, errno):
    r = host.run_(program, code=126)
    assert "exec %s: %s" % (program, errno) in r.err


def test_missing_interpreter_is_127_like_a_shell_would_say(host):
    r = host.run_("/bin/bad-interpreter", code=127)
    assert "No such file or directory" in r.err


@pytest.mark.native
def test_unknown_image_is_125_and_leaves_no_container(host):
    r = host.berth("run", "no-such-image", "true", code=125)
    assert "no-such-image" in r.err
    assert host.list() == []


def test_failed_start_of_a_run_leaves_a_container_only_without_rm(host):
    host.run_("/nope", code=127)
    assert host.list() == []


@pytest.mark.native
def test_bad_flag_is_125_with_usage(host):
    r = host.berth("run", "--no-such-flag", "busybox", code=125)
    assert "no-such-flag" in r.err


@pytest.mark.native
def test_command_of_the_image_is_used_when_none_is_given(host):
    r = host.berth("run", "--rm", "-i", "busybox", input="echo from the shell\nexit 7\n", code=7)
    assert r.out == "from the shell\n"


# ---------------------------------------------------------------- process

@pytest.mark.native
def test_env_given_and_from_a_file_and_from_the_callers(host, tmp_path):
    f = tmp_path / "env"
    f.write_text("# a comment\nFROM_FILE=a b=c\n\nCALLERS\nABSENT_HERE\n")
    p = host.popen("run", "--rm", "-e", "GIVEN=1 2", "--env", "EMPTY=", "-e", "CALLERS2", "--env-file", f, "busybox", "env",
                   env={"CALLERS": "x", "CALLERS2": "y"})
    out, err = p.communicate()
    lines = out.decode().splitlines()
    assert p.returncode == 0, err
    for wanted in ("GIVEN=1 2", "EMPTY=", "CALLERS2=y", "FROM_FILE=a b=c", "CALLERS=x", "PATH=/bin:/usr/bin", "HOME=/root"):
        assert wanted in lines
    assert not any(line.startswith("ABSENT_HERE") for line in lines)
    assert any(re.fullmatch("HOSTNAME=[0-9a-f]{12}", line) for line in lines)


@pytest.mark.native
def test_later_env_wins_over_the_images(host):
    assert host.run_("-e", "PATH=/usr/bin:/bin", "--", "sh", "-c", "echo $PATH").text == "/usr/bin:/bin"


def test_workdir_is_made_when_missing(host):
    assert host.run_("-w", "/made/here", "--", "pwd").text == "/made/here"


def test_workdir_that_is_a_file_is_refused_with_the_step(host):
    r = host.run_("-w", "/etc/passwd", "--", "pwd", code=None)
    assert r.code in (125, 126) and "/etc/passwd" in r.err and "Not a directory" in r.err


@pytest.mark.parametrize("user, ids", [
    ("alice", "1000 1000 1000 2000"),           # groups of the group file too
    ("bob:boat", "1001 2000 2000"),
    *natively(("1001", "1001 1001 1001"), ("1000:2000", "1000 2000 2000"), ("4242", "4242 0 0"), ("4242:4343", "4242 4343 4343"), ("0", "0 0 0")),
])
def test_user_is_resolved_in_the_containers_own_files(host, user, ids):
    assert host.run_("-u", user, "--", "sh", "-c", "echo $(id -u) $(id -g) $(id -G)").text == ids


@pytest.mark.native
def test_home_follows_the_user(host):
    assert host.run_("-u", "alice", "--", "sh", "-c", "echo $HOME; cat /home/alice/owned").out == "/home/alice\nalice's\n"


@pytest.mark.native
def test_unknown_user_is_refused_by_name(host):
    r = host.run_("-u", "mallory", "--", "id", code=None)
    assert r.code in (125, 126) and "mallory" in r.err


def test_hostname_is_the_short_uuid_unless_given(host):
    name = host.detached("sleep", "60")
    uuid = host.inspect(name)["meta"]["uuid"]
    assert host.berth("exec", name, "hostname").text == uuid.replace("-", "")[:12] or \
        host.berth("exec", name, "hostname").text == uuid[:12]
    assert host.run_("--hostname", "box.example", "--", "hostname").text == "box.example"


@pytest.mark.native
def test_entrypoint_replaces_the_images_and_takes_the_arguments(host):
    assert host.run_("--entrypoint", "/bin/echo", "--", "a", "b").out == "a b\n"


@pytest.mark.native
def test_labels_are_kept_shown_and_filtered(host):
    name = host.detached("-l", "tier=web", "--label", "empty", "--", "sleep", "60")
    labels = {l["key"]: l.get("value", "") for l in host.inspect(name)["spec"]["labels"]}
    assert labels == {"tier": "web", "empty": ""}
    assert host.berth("ps", "-q", "--filter", "label=tier=web").lines != []
    assert host.berth("ps", "-q", "--filter", "label=tier=db").lines == []


def test_interactive_passes_stdin_and_its_end(host):
    data = os.urandom(300000).hex()
    r = host.berth("run", "--rm", "-i", "busybox", "sh", "-c", "wc -c; echo done", input=data)
    assert r.out.split() == ["600000", "done"]


def test_without_interactive_stdin_is_empty(host):
    assert host.berth("run", "--rm", "busybox", "cat", input="lost").out == ""


def test_tty_gives_a_terminal_with_a_name(host):
    r = host.run_("-t", "--", "sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo terminal; cat /proc/self/stat | cut -d' ' -f7")
    lines = r.out.replace("\r", "").split("\n")
    assert lines[0].startswith("/dev/") and lines[1] == "terminal" and lines[2] != "0"


@pytest.mark.native
def test_detached_run_prints_the_uuid_alone(host):
    r = host.berth("run", "-d", "--name", "d", "busybox", "sleep", "60")
    assert r.text == host.inspect("d")["meta"]["uuid"]


def test_init_reaps_orphans_and_the_program_is_not_pid_1(host):
    assert host.run_("--init", "--", "guest", "orphans", "5").text.endswith("zombies 0")
    assert host.run_("guest", "orphans", "5").text == "pid 1 zombies 5"


def test_init_passes_signals_on_and_the_exit_code(host):
    name = host.detached("--init", "--", "guest", "signals", "33")
    host.wait_log(name, "ready")
    host.berth("stop", name)
    assert host.status(name)["last_exit"]["code"] == 33


# ---------------------------------------------------------------- names

@pytest.mark.native
def test_name_is_unique_and_the_second_is_refused(host):
    host.berth("run", "-d", "--name", "same", "busybox", "sleep", "60")
    before = host.list()
    r = host.berth("run", "-d", "--name", "same", "busybox", "true", code=125)
    assert "same" in r.err
    assert host.list() == before


@pytest.mark.native
@pytest.mark.parametrize("bad", ["-x", "a b", "../x", "a/b", "x" * 256, "é"])
def test_bad_name_is_refused_and_changes_nothing(host, bad):
    r = host.berth("create", "--name=" + bad, "busybox", code=None)
    assert r.code in (1, 125) and "name" in r.err
    assert host.list() == []


@pytest.mark.native
def test_what_an_error_quotes_and_cuts_within_a_character_can_be_read(host):
    """Its words are cut to a size; a string that is then no UTF-8 would have the whole record refused, by the tool and between berthd and its shims."""
    for odd in ("a", "ab"):
        name, long = host.name(), odd + 300 * "\u00e9"
        host.refused("create", "--cap-add", long, "busybox", text="there is no capability 'a", code=125)
        host.berth("create", "--name", name, "busybox", "/" + long)
        host.refused("start", name, text="exec /a")
        for _ in range(2):
            assert "exec /a" in host.berth("inspect", name).out
            host.restart()
    assert "exec /a" in host.berth("actions", "--format", "json").out


@pytest.mark.native
def test_a_name_is_made_when_none_is_given(host):
    host.berth("run", "-d", "busybox", "sleep", "60")
    assert re.fullmatch(r"[a-z0-9][a-z0-9_.-]+", host.list()[0]["meta"]["name"])


@pytest.mark.native
def test_containers_are_found_by_uuid_and_unambiguous_prefix(host):
    name = host.detached("sleep", "60")
    uuid = host.inspect(name)["meta"]["uuid"]
    for ref in (uuid, uuid[:12], uuid[:4]):
        assert host.inspect(ref)["meta"]["name"] == name


@pytest.mark.native
def test_ambiguous_prefix_is_refused(host):
    seen = {}
    with host.client() as c:
        for _ in range(40):
            uuid = c.request("container_create", {"spec": {"image": "busybox"}})[0]["container"]["meta"]["uuid"]
            if uuid[0] in seen:
                break
            seen[uuid[0]] = uuid
    host.refused("inspect", uuid[0], text="(?i)ambiguous|several|more than one")


# ---------------------------------------------------------------- create, start, rm

def test_create_makes_no_process_and_start_runs_it(host):
    uuid = host.berth("create", "--name", "later", "busybox", "sh", "-c", "echo now").text
    assert host.inspect("later")["meta"]["uuid"] == uuid
    assert host.state_of("later") == "created" and not host.status("later").get("pid")
    host.berth("start", "later")
    host.wait_state("later", "exited")
    assert host.berth("logs", "later").out == "now\n"


def test_start_attached_passes_output_and_code(host):
    host.berth("create", "--name", "a", "busybox", "sh", "-c", "echo hi; exit 5")
    assert host.berth("start", "-a", "a", code=5).out == "hi\n"


def test_rm_refuses_a_running_container_and_force_removes_it(host):
    name = host.detached("sleep", "60")
    host.refused("rm", name, text="cannot remove: container is Running")
    assert host.state_of(name) == "running"
    host.berth("rm", "--force", name)
    assert host.list() == []


@pytest.mark.native
def test_rm_of_a_name_that_is_free_again_can_be_taken(host):
    for _ in range(3):
        host.berth("run", "-d", "--name", "again", "busybox", "sleep", "60")
        host.berth("rm", "-f", "again")


@pytest.mark.native
def test_rm_unknown_says_so(host):
    host.refused("rm", "nobody", text="nobody")


@pytest.mark.native
def test_rm_takes_several_and_goes_on_after_a_failure(host):
    a, b = host.detached("sleep", "60"), host.detached("sleep", "60")
    host.refused("rm", "-f", a, "nobody", b, text="nobody")
    assert host.list() == []


def test_auto_remove_removes_after_the_end_whatever_it_is(host):
    name = host.detached("--rm", "--", "sleep", "60")
    host.berth("kill", name)
    eventually(lambda: host.list() == [], "auto-removed")


@pytest.mark.native
def test_auto_remove_and_a_restart_policy_exclude_each_other(host):
    r = host.berth("run", "--rm", "--restart", "always", "busybox", code=125)
    assert "--rm" in r.err or "auto_remove" in r.err


@pytest.mark.native
def test_rename_moves_the_name_at_once(host):
    name = host.detached("sleep", "60")
    host.berth("rename", name, "renamed")
    assert host.inspect("renamed")["meta"]["name"] == "renamed"
    host.refused("inspect", name, text=name)
    other = host.detached("sleep", "60")
    host.refused("rename", other, "renamed", text="renamed")


def test_filesystem_survives_restart_and_goes_with_rm(host):
    name = host.detached("sh", "-c", "echo line >> /root/kept; wc -l < /root/kept; exec sleep 60")
    host.wait_log(name, "1\n")
    host.berth("restart", "-t", "0", name)
    host.wait_log(name, "2\n")


# ---------------------------------------------------------------- a container of many facts, compared in one start

def test_ulimits_shm_sysctl_and_umask_are_as_asked(host):
    r = host.run_("--ulimit", "nofile=123:456", "--ulimit", "core=0", "--shm-size", "8m", "--sysctl", "kernel.msgmax=4096",
                  "--sysctl", "net.ipv4.ip_forward=1", "--", "sh", "-c",
                  "ulimit -Sn; ulimit -Hn; ulimit -c; df -k /dev/shm | tail -1 | awk '{print $2}'; cat /proc/sys/kernel/msgmax; "
                  "cat /proc/sys/net/ipv4/ip_forward; umask")
    assert r.lines == ["123", "456", "0", "8192", "4096", "1", "0022"]


def test_ulimit_really_limits(host):
    assert host.run_("--ulimit", "nofile=20:20", "--", "guest", "hold-fds", "100").text == "opened 17 EMFILE"


@pytest.mark.parametrize("args, said", [
    (["-v", "/no/such/host/path:/x"], "/no/such/host/path"),
    (["-m", "x"], "x"),
    (["--cpus", "100000"], "cpus"),
    (["--cpu-weight", "10001"], "weight"),
    (["--cpuset-cpus", "a-b"], "cpuset"),
    (["--cpuset-cpus", "4000"], "cpuset"),
    (["--device", "/dev/no-such-device"], "no-such-device"),
    (["--oom-score-adj", "2000"], "oom"),
    *natively(
        (["--sysctl", "kernel.panic=1"], "kernel.panic"),
        (["--sysctl", "vm.overcommit_memory=1"], "vm.overcommit_memory"),
        (["--sysctl", "net.ipv4/../../kernel/panic=1"], "sysctl"),
        (["--ulimit", "nofile=9:3"], "nofile"),
        (["--ulimit", "bogus=1"], "bogus"),
        (["--cap-add", "FLY"], "FLY"),
        (["--stop-signal", "SIGNONE"], "SIGNONE"),
        (["-v", "/etc:relative"], "relative"),
        (["-v", "/etc:/a/../b"], r"\.\."),
        (["--tmpfs", "relative"], "relative"),
        (["--network", "bridge0"], "bridge0"),
        (["--restart", "sometimes"], "sometimes"),
        (["--restart", "no:3"], "no:3|retries"),
        (["--shm-size", "-1"], "shm"),
        (["-w", "relative"], "relative|workdir"),
        (["--security-opt", "seccomp=/no/such/profile"], "no/such/profile"),
        (["--security-opt", "bogus=1"], "bogus"),
        (["--pod", "no-such-pod"], "no-such-pod"),
        (["-e", "=x"], "="),
        (["--hostname", "bad host"], "host name")),
])
def test_bad_value_is_refused_by_name_and_changes_nothing(host, args, said):
    r = host.berth("run", *args, "busybox", "true", code=125)
    assert re.search(said, r.err), r
    assert host.list() == []
