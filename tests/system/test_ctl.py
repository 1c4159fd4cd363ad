"""What only the tool does: formats, flags read from files, exit statuses, and going on when berthd is killed under it."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from host import SLOW, eventually, processes

pytestmark = pytest.mark.native


def all_commands(host):
    return [l[2:].split("  ")[0].strip() for l in host.berth("help").lines if l.startswith("  ") and l[2] != "-" and not l.startswith("   ")]


# ---------------------------------------------------------------- formats

def test_json_of_lists_is_an_array_with_the_names_of_the_protocol(host):
    name = host.detached("-l", "tier=web", "--", "sleep", "60")
    listed = host.berth("ps", "--format", "json").json()
    assert len(listed) == 1
    c = listed[0]
    assert c["meta"]["name"] == name and c["state"] == "running" and c["labels"] == {"tier": "web"} and c["pid"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", c["started_at"])
    for command in (["image", "ls"], ["volume", "ls"], ["pod", "ls"], ["actions"], ["stats"], ["top", name], ["check"], ["ps", "-a", "--filter", "name=none"]):
        assert isinstance(host.berth(*command, "--format", "json", code=None).json(), list), command
    version = host.berth("version", "--format", "json").json()
    assert version["berth"]["protocol"] == version["berthd"]["protocol"] >= 1
    assert host.berth("info", "--format", "json").json()["containers_running"] == 1


def test_an_empty_table_has_its_titles(host):
    assert host.berth("ps").out == "ID  NAME  IMAGE  COMMAND  STATE  STATUS  RESTARTS  PORTS\n"
    assert host.berth("stats", "--no-stream").out.startswith("ID  NAME  CPU %  MEM")
    assert host.berth("pod", "ls").out.startswith("ID  NAME  STATE") and host.berth("ps", "-q").out == ""


def test_templates_fill_in_fields_and_refuse_names_that_are_not_there(host):
    a, b = host.detached("-e", "A=1", "--", "sleep", "60"), host.detached("-l", "a.b=c", "--", "sleep", "60")
    r = host.berth("inspect", "-f", "{{.meta.name}}:{{.status.state}}:{{index}}", a, code=2)
    assert "index" in r.err
    assert host.berth("inspect", "-f", "{{.meta.name}}|{{.spec.labels[\"a.b\"]}}", a, b).lines == [a + "|", b + "|c"]
    assert "A=1" in json.loads(host.berth("inspect", "-f", "{{json .spec.env}}", a).out)
    assert "restart_count" in host.berth("ps", "--format", "{{.restarts}}", code=2).err


def test_inspect_prints_what_it_found_and_fails_for_the_rest(host):
    name = host.detached("sleep", "60")
    r = host.berth("inspect", "nobody", name, code=1)
    assert [c["meta"]["name"] for c in r.json()] == [name] and "nobody" in r.err
    assert host.berth("inspect", "nobody", code=1).json() == []


def test_quiet_lists_print_whole_uuids_that_can_be_passed_on(host):
    names = {host.detached("sleep", "60") for _ in range(3)}
    uuids = host.berth("ps", "-q").lines
    assert {host.inspect(u)["meta"]["name"] for u in uuids} == names
    host.berth("rm", "-f", *uuids)
    assert host.list() == []


def test_short_ids_of_the_table_are_taken_as_references(host):
    name = host.detached("sleep", "60")
    line = next(l for l in host.berth("ps").lines if name in l)
    assert host.inspect(line.split()[0])["meta"]["name"] == name


def test_ps_tells_since_when_and_why_it_ended(host):
    host.detached("sh", "-c", "exit 7", name="seven")
    host.wait_state("seven", "exited")
    host.detached("sleep", "60", name="up")
    out = host.berth("ps", "-a").out
    assert re.search(r"seven .*Exited \(7\) .* ago", out) and re.search(r"up .*Up ", out)


# ---------------------------------------------------------------- exit statuses

@pytest.mark.parametrize("args, code, said", [
    (["run", "no-such-image"], 125, "no-such-image"),
    (["exec", "nobody", "true"], 125, "nobody"),
    (["create", "no-such-image"], 125, "no-such-image"),
    (["inspect", "nobody"], 1, "nobody"),
    (["stop", "nobody"], 1, "nobody"),
    (["volume", "rm", "nothing"], 1, "nothing"),
    (["image", "import", "/no/such/file"], 1, "/no/such/file"),
    (["image", "import", "/etc/passwd"], 1, "neither"),
])
def test_errors_of_the_tool_have_their_exit_status(host, args, code, said):
    assert said in host.berth(*args, code=code).err


def usage_status(command):
    return 125 if command.split()[0] in ("run", "create", "exec") else 2


def test_wrong_usage_has_one_exit_status_whatever_the_command(host):
    commands = all_commands(host)
    assert len(commands) > 35
    for name in commands:
        usage = host.berth("help", *name.split()).lines[0].split("berth " + name, 1)[1].replace("[FLAGS]", "").split()
        required = [w for w in usage if w[0] != "["]
        wrong = [["--no-such-flag"]]
        if required:
            wrong.append([])
        if not any("..." in w for w in usage):
            wrong.append(["a"] * (len(usage) + 1))
        for args in wrong:
            r = host.berth(*name.split(), *args, code=None)
            assert r.code == usage_status(name) and (name == "help" or "Usage: berth " + name in r.err), (name, args, r)


@pytest.mark.parametrize("args, said", [
    (["frobnicate"], "frobnicate"),
    (["pod"], "pod create"),
    (["--bogus", "ps"], "--bogus"),
    (["run", "--mem=3m", "busybox"], "--mem"),
    (["run", "--ip", "10.0.0.1", "busybox"], "it is not in there"),
    (["run", "--rm=maybe", "busybox"], "--rm takes true or false"),
    (["run", "--rm", "--restart", "always", "busybox"], "exclude each other"),
    (["run", "-m", "lots", "busybox"], "-m"),
    (["run", "--detach-keys", "ctrl-", "busybox"], "ctrl-"),
    (["run", "--env-file", "/no/such/file", "busybox"], "/no/such/file"),
    (["run", "-w", "relative", "busybox"], "-w relative"),
    (["create", "--restart", "sometimes", "busybox"], "sometimes"),
    (["create", "--name", "a b", "busybox"], "a b"),
    (["create", "--cap-add", "FLY", "busybox"], "--cap-add FLY"),
    (["exec", "--timeout", "soon", "c", "true"], "soon"),
    (["start", "-a", "b", "c"], "only one"),
    (["stop", "-t", "x", "c"], "-t"),
    (["restart", "-t", "-1", "c"], "-t"),
    (["kill", "-s", "", "c"], "not a signal"),
    (["kill", "-s", "FOO", "CONTAINER"], "FOO"),
    (["attach", "--detach-keys", "ctrl-,a", "CONTAINER"], "--detach-keys"),
    (["wait", "--condition", "foo", "CONTAINER"], "not-running, next-exit or removed"),
    (["rename", "CONTAINER", "a b"], "a b"),
    (["update", "CONTAINER"], "nothing to change"),
    (["update", "--restart", "sometimes", "CONTAINER"], "sometimes"),
    (["update", "--cpu-weight", "0", "CONTAINER"], "--cpu-weight 0"),
    (["ps", "-n", "x"], "-n"),
    (["ps", "--format", "xml"], "xml"),
    (["ps", "--format", "table {{.meta.name}}"], "own columns"),
    (["ps", "-f", "name"], "KEY=VALUE"),
    (["ps", "-f", "colour=red"], "colour"),
    (["inspect", "--format", "table", "CONTAINER"], "no table"),
    (["logs", "--tail", "x", "CONTAINER"], "--tail"),
    (["logs", "--tail"], "--tail needs a value"),
    (["logs", "--since", "yesterday", "CONTAINER"], "--since"),
    (["logs", "--until", "tomorrow", "CONTAINER"], "--until"),
    (["top", "--format", "{{.nothing}}", "CONTAINER"], "nothing"),
    (["stats", "--format", "xml"], "xml"),
    (["events", "--since", "x"], "--since"),
    (["events", "-f", "colour=red"], "colour"),
    (["actions", "-n", "x"], "-n"),
    (["pod", "create", "--name", "a", "b"], "twice"),
    (["pod", "create", "a b"], "a b"),
    (["pod", "ls", "-f", "colour=red"], "colour"),
    (["pod", "inspect", "--format", "table", "x"], "no table"),
    (["image", "ls", "-f", "colour=red"], "colour"),
    (["image", "import", "-t", "A b", "/etc"], "A b"),
    (["volume", "create", "a b"], "a b"),
    (["volume", "ls", "-f", "colour=red"], "colour"),
    (["info", "--format", "xml"], "xml"),
    (["check", "--format", "xml"], "xml"),
    (["version", "--format", "xml"], "json and table"),
    (["completion", "fish"], "fish"),
    (["help", "frobnicate"], "frobnicate"),
])
def test_a_wrong_value_is_wrong_usage_whoever_finds_it_out(host, args, said):
    if "CONTAINER" in args:
        host.berth("create", "--name", "made", "busybox")
        args = ["made" if a == "CONTAINER" else a for a in args]
    assert said in host.berth(*args, code=usage_status(args[0])).err


def test_help_of_a_group_of_commands_is_answered_however_it_is_asked_for(host):
    want = host.berth("help", "image").out
    assert want.startswith("Usage: berth image COMMAND ...") and re.search(r"^  image verify +\S", want, re.M)
    assert host.berth("image", "--help").out == host.berth("image", "-h").out == want
    for args in (["image"], ["image", "frobnicate"]):       # not asked for: wrong usage
        r = host.berth(*args, code=2)
        assert (r.out, r.err) == ("", want)
    for args in (["help", "image", "frobnicate"], ["frobnicate", "--help"]):
        assert "there is no command" in host.berth(*args, code=2).err


def test_a_program_that_cannot_run_is_126_and_one_that_is_not_there_127(host):
    host.run_("/etc/passwd", code=126)
    host.run_("/no/such/program", code=127)
    name = host.detached("sleep", "60")
    host.berth("exec", name, "/etc/passwd", code=126)
    host.berth("exec", name, "no-such-program", code=127)
    host.berth("exec", name, "sh", "-c", "kill -9 $$", code=137)


def test_exec_timeout_is_124(host):
    name = host.detached("sleep", "60")
    assert "ran out of its time" in host.berth("exec", "--timeout", "%dms" % (200 * SLOW), name, "sleep", "60", code=124).err


def test_without_berthd_it_says_so_at_once():
    started = time.monotonic()
    r = subprocess.run([os.path.join(os.environ["BERTH_BIN"], "berth"), "--socket", "/no/such/socket", "ps"], capture_output=True, text=True)
    assert r.returncode == 1 and "no berthd here" in r.stderr and "--socket" in r.stderr
    assert time.monotonic() - started < 2 * SLOW


# ---------------------------------------------------------------- flags and files

def test_environment_and_labels_from_files(host, tmp_path):
    env, labels = tmp_path / "env", tmp_path / "labels"
    env.write_text("# comment\nFROM_FILE=a b\nINHERITED\nNOT_SET_ANYWHERE\n")
    labels.write_text("x=1\ny\n")
    p = host.popen("run", "--rm", "--env-file", env, "--label-file", labels, "busybox", "env", env={"INHERITED": "yes"})
    out = p.communicate(timeout=30 * SLOW)[0].decode().splitlines()
    assert "FROM_FILE=a b" in out and "INHERITED=yes" in out and not [l for l in out if l.startswith("NOT_SET")]
    uuid = host.berth("create", "--label-file", labels, "busybox").text
    assert host.berth("inspect", "-f", "{{json .spec.labels}}", uuid).json() == {"x": "1", "y": ""}


def test_cidfile_has_the_uuid_and_is_never_overwritten(host, tmp_path):
    path = tmp_path / "cid"
    uuid = host.berth("create", "--cidfile", path, "busybox").text
    assert path.read_text() == uuid
    assert "File exists" in host.berth("create", "--cidfile", path, "busybox", code=125).err
    assert len(host.list()) == 1
    host.berth("create", "--cidfile", tmp_path / "other", "no-such-image", code=125)
    assert not (tmp_path / "other").exists()


def test_a_refused_value_is_told_as_the_flag_that_had_it(host):
    assert "--cap-add FLY" in host.berth("run", "--cap-add", "CHOWN", "--cap-add", "FLY", "busybox", code=125).err
    assert "-w relative" in host.berth("run", "-w", "relative", "busybox", code=125).err
    assert "--workdir relative" in host.berth("run", "--workdir=relative", "busybox", code=125).err
    assert "--userns auto" in host.berth("run", "--userns", "auto", "--privileged", "busybox", code=125).err


# ---------------------------------------------------------------- berthd dies under it

COUNT = "i=0; while [ $i -lt %d ]; do echo $i; i=$((i+1)); sleep 0.05; done; exit 5"


def test_run_in_the_foreground_does_not_notice_a_killed_berthd(host):
    p = host.popen("run", "--name", "fg", "busybox", "sh", "-c", COUNT % 30)
    assert p.stdout.readline() == b"0\n"
    host.restart()
    out, err = p.communicate(timeout=30 * SLOW)
    assert (p.returncode, out.split()) == (5, [b"%d" % i for i in range(1, 30)]), err


def test_run_rm_waits_for_the_removal_over_a_killed_berthd(host, gate):
    p = host.popen("run", "--rm", "--name", "fg", *gate.flags, "busybox", "sh", "-c", "echo up; " + gate.WAIT + "exit 4")
    assert p.stdout.readline() == b"up\n"       # it was answered
    pid = host.status("fg")["pid"]
    host.kill()
    gate.open()
    eventually(lambda: pid not in processes(), "it has ended")
    host.start()
    p.communicate(timeout=30 * SLOW)
    assert p.returncode == 4
    eventually(lambda: host.list() == [], "removed")


def connected(p):
    """Whether the tool has said what it wants and waits."""
    fds = "/proc/%d/fd/" % p.pid
    return processes()[p.pid][0] == "S" and any(os.readlink(fds + fd).startswith("socket:") for fd in os.listdir(fds))


def test_a_request_that_berthd_never_read_is_asked_again(host):
    os.kill(host.daemon.pid, signal.SIGSTOP)
    run = host.popen("run", "--name", "once", "busybox", "sh", "-c", "echo ran; exit 3")
    create = host.popen("create", "--name", "made", "busybox")
    eventually(lambda: connected(run) and connected(create), "they wait for an answer")
    host.restart()
    out, err = run.communicate(timeout=30 * SLOW)
    assert (run.returncode, out) == (3, b"ran\n"), err
    out, err = create.communicate(timeout=30 * SLOW)
    assert create.returncode == 0, err
    assert {c["meta"]["name"] for c in host.list()} == {"once", "made"}


def test_logs_follow_goes_on_after_kill_9_without_a_line_lost_or_twice(host):
    name = host.detached("sh", "-c", COUNT % 60)
    p = host.popen("logs", "-f", name)
    assert p.stdout.readline() == b"0\n"
    for _ in range(2):
        time.sleep(0.5)
        host.restart()
    out, err = p.communicate(timeout=30 * SLOW)
    assert [int(l) for l in out.split()] == list(range(1, 60)), err


def test_events_go_on_after_a_restart_and_say_what_is_missing(host):
    p = host.popen("events", "--since", "@%d" % time.time(), "-f", "container=before", "--format", "json")
    host.detached("sleep", "60", name="before")
    while json.loads(p.stdout.readline())["type"] != "start":
        pass
    host.restart()
    eventually(lambda: host.ask("info")["clients"] >= 2, "it is connected again")
    host.berth("rm", "-f", "before")
    seen = []
    while "destroy" not in seen:
        seen.append(json.loads(p.stdout.readline())["type"])
    assert seen[:1] == ["die"]
    p.terminate()
    assert b"started anew" in p.communicate(timeout=10 * SLOW)[1]


def test_a_reader_that_goes_away_ends_the_tool_not_the_container(host):
    p = host.popen("run", "--name", "noisy", "busybox", "sh", "-c", "while :; do echo x; sleep 0.02; done")
    assert p.stdout.readline() == b"x\n"
    p.stdout.close()
    assert p.wait(10 * SLOW) == 141
    assert b"goes on" in p.stderr.read()
    assert host.state_of("noisy") == "running"


# ---------------------------------------------------------------- live screens

def test_stats_shows_processors_used_between_two_samples(host):
    host.detached("sh", "-c", "while :; do :; done", name="busy")
    host.detached("sleep", "60", name="idle")
    lines = {l.split()[1]: l for l in host.berth("stats", "--no-stream", "busy", "idle").lines[1:3]}
    percent = {name: float(re.search(r"([\d.]+)%", line).group(1)) for name, line in lines.items()}
    assert percent["busy"] > 10 and percent["idle"] < percent["busy"] / 4


def test_actions_last_are_the_newest_in_their_order(host):
    name = host.detached("sleep", "60")
    host.berth("pause", name)
    host.berth("unpause", name)
    shown = host.berth("actions", "-n", "2", "--format", "{{.verb}} {{.object_name}} {{.result}}", name).lines
    assert shown == ["pause %s ok" % name, "unpause %s ok" % name]
