"""What berth tells of itself: events, actions (the audit log), info, check, version, JSON everywhere."""

import json
import re
import time

import pytest

from host import SLOW, eventually, processes


def read_events(p, n, seconds=10):
    lines = []
    for _ in range(n):
        line = p.stdout.readline()
        assert line, p.stderr.read()
        lines.append(json.loads(line))
    return lines


def test_events_stream_a_containers_life(host):
    p = host.popen("events", "--since", "@%d" % time.time(), "--format", "json")      # whenever it begins to listen
    name = host.detached("guest", "exit", "4")
    host.wait_state(name, "exited")
    host.berth("rm", name)
    types, end = [], time.monotonic() + 10 * SLOW
    while "destroy" not in types and time.monotonic() < end:
        e = json.loads(p.stdout.readline())
        if e.get("name") == name:
            types.append(e["type"])
            if e["type"] == "die":
                assert {a["key"]: a["value"] for a in e["attributes"]}.get("exit_code") == "4" if isinstance(e["attributes"], list) \
                    else e["attributes"]["exit_code"] == "4"
    p.kill()
    p.communicate()
    assert [t for t in types if t in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]


def test_events_since_and_until_replay_and_end(host):
    start = time.time()
    name = host.detached("true")
    host.wait_state(name, "exited")
    out = host.berth("events", "--since", "@%d" % (start - 1), "--until", "@%d" % (time.time() + 1), "--format", "json", timeout=10).lines
    assert any(json.loads(l).get("name") == name for l in out)


@pytest.mark.native
def test_events_filters(host):
    start = time.time()
    a, b = host.detached("true"), host.detached("true")
    for n in (a, b):
        host.wait_state(n, "exited")
    window = ["--since", "@%d" % (start - 1), "--until", "@%d" % (time.time() + 1), "--format", "json"]
    rows = [json.loads(l) for l in host.berth("events", *window, "--filter", "container=" + a, "--filter", "type=die").lines]
    assert [(r["name"], r["type"]) for r in rows] == [(a, "die")]
    host.berth("volume", "create", "v")
    window[3] = "@%d" % (time.time() + 1)

    def types(*filters):
        args = [word for f in filters for word in ("--filter", f)]
        return [(r["kind"], r["type"]) for r in map(json.loads, host.berth("events", *window, *args).lines) if r["name"] in (a, b, "v")]
    # As Docker's users write it, and as berth calls it: type=KIND and event=TYPE, or kind=KIND and type=TYPE.
    assert types("type=volume") == types("kind=volume") == [("volume", "create")]
    assert types("type=container", "event=die") == types("kind=container", "type=die") == [("container", "die")] * 2
    assert types("type=die", "type=volume") == [("container", "die")] * 2 + [("volume", "create")]


@pytest.mark.native
@pytest.mark.parametrize("args, said", [
    (["events", "-f", "type=daemon"], "type='daemon' fits nothing: it is one of create start"),
    (["events", "-f", "event=container"], "event="),
    (["events", "-f", "kind=netwrok"], "container pod image volume network .*host"),
    (["ps", "-f", "status=foo"], "status='foo' fits nothing: it is one of creating"),
    (["ps", "-f", "state=restarting"], "state="),
    (["ps", "-f", "exited=x"], "an exit code, 0 to 255"),
    (["ps", "-f", "exited=256"], "an exit code, 0 to 255"),
    (["ps", "-f", "id=xyz"], "digits of a uuid"),
    (["pod", "ls", "-f", "status=running"], "empty starting ready failed"),
    (["pod", "ls", "-f", "id=xyz"], "digits of a uuid"),
    (["volume", "ls", "-f", "dangling=perhaps"], "true false"),
    (["image", "ls", "-f", "dangling=perhaps"], "true false"),
    (["image", "ls", "-f", "id=xyz"], "the beginning of an image id"),
])
def test_a_filter_that_can_fit_nothing_is_refused_with_what_can(host, args, said):
    host.refused(*args, text=said, code=2)


@pytest.mark.native
def test_docker_words_for_states_find_what_they_mean_there(host):
    ended, stopped = host.detached("true"), host.detached("sleep", "600")
    host.detached("sleep", "600")
    host.berth("stop", "-t", "0", stopped)
    host.wait_state(ended, "exited")

    def names(*filters):
        return set(host.berth("ps", "--format", ".meta.name", *[a for f in filters for a in ("-f", f)]).lines)
    assert names("status=exited") == {ended, stopped}
    assert names("state=exited") == {ended} and names("state=stopped") == names("status=Stopped") == {stopped}
    assert names("status=exited", "exited=0") == {ended}
    assert names("status=dead") == names("status=restarting") == set()


def test_event_revisions_rise_and_never_repeat_over_a_restart_of_berthd(host):
    name = host.detached("sleep", "600")
    before = host.ask("info")["revision"]
    host.restart()
    assert host.ask("info")["revision"] >= before
    host.berth("rename", name, "renamed-later")
    assert host.inspect("renamed-later")["meta"]["revision"] > before


@pytest.mark.native
def test_actions_tell_who_asked_what_and_how_it_ended(host):
    name = host.detached("sleep", "600")
    host.refused("unpause", name, text="Running")
    host.berth("stop", "-t", "0", name)
    rows = {}
    for a in host.actions(name):
        rows.setdefault(a["verb"], []).append(a)
    assert set(rows) >= {"create", "unpause", "stop"}
    for a in rows["create"] + rows["stop"]:
        assert a["principal"] == "root" and a["result"] == "ok" and a["finished_at"] >= a["started_at"] and a["request_id"]
    assert rows["unpause"][0]["result"] == "error" and "Running" in rows["unpause"][0]["reason"]
    assert "stop" in host.berth("actions", name).out


@pytest.mark.native
def test_actions_outlive_the_container(host):
    name = host.detached("sleep", "600")
    uuid = host.inspect(name)["meta"]["uuid"]
    host.berth("rm", "-f", name)
    for ref in (name, uuid):
        verbs = [a["verb"] for a in host.actions(ref)]
        assert "create" in verbs and ("remove" in verbs or "rm" in verbs), verbs
    host.restart()
    assert host.actions(uuid)


@pytest.mark.native
def test_actions_of_a_name_are_not_those_of_a_uuid_that_begins_so(host):
    uuid = host.inspect(host.detached("sleep", "600"))["meta"]["uuid"]
    name = uuid[:4]
    host.detached("sleep", "600", name=name)
    host.berth("rm", "-f", name)
    assert {a["object_name"] for a in host.actions(name)} == {name}
    assert {a["object_uuid"] for a in host.actions(uuid[:5])} == {uuid}
    host.refused("actions", "ffffffff-ffff", text="no container")


def test_berthds_own_decisions_are_actions_too(host):
    name = host.detached("--restart", "on-failure:1", "--", "false")
    host.wait_state(name, "exited")
    own = [a for a in host.actions(name) if a["principal"] == "berthd"]
    assert any(a["verb"] == "restart" for a in own), host.actions(name)


def removals(host, ref):
    return [(a["principal"], a["result"], a["reason"]) for a in host.actions(ref) if a["verb"] == "remove"]


def test_a_removal_that_nobody_asked_for_is_an_action_with_its_reason(host):
    host.run_("--name", "went-by-itself", "--", "sh", "-c", "exit 3", code=3)
    eventually(lambda: host.list() == [], "removed")
    assert removals(host, "went-by-itself") == [("berthd", "ok", "--rm: exited with 3")]
    host.run_("--name", "never-was", "--", "/no/such/program", code=127)
    assert [(a["verb"], a["result"]) for a in host.actions("never-was")] == [("create", "error")]     # it never was
    host.berth("pod", "create", "p")
    member = host.detached("--pod", "p", "--", "sleep", "600")
    host.berth("pod", "rm", "-f", "p")
    assert removals(host, member) == [("berthd", "ok", "with its pod")]


def test_a_removal_over_a_killed_berthd_is_an_action_with_its_reason(host, gate):
    name = host.detached("--rm", *gate.flags, "--", "sh", "-c", gate.WAIT)
    pid = host.status(name)["pid"]
    host.kill()
    gate.open()
    eventually(lambda: pid not in processes(), "it has ended")
    host.start()
    eventually(lambda: host.list() == [], "removed")
    assert removals(host, name) == [("berthd", "ok", "--rm: exited with 0")]


@pytest.mark.native
def test_client_token_joins_the_first_request(host):
    with host.client() as c:
        body = {"name": "once", "spec": {"image": "busybox"}}
        first = c.request("container_create", body, client_token="abc")[0]["container"]["meta"]["uuid"]
        again = c.request("container_create", body, client_token="abc")[0]["container"]["meta"]["uuid"]
        assert first == again and len(host.list()) == 1
    host.restart()
    with host.client() as c:
        assert c.request("container_create", body, client_token="abc")[0]["container"]["meta"]["uuid"] == first
        env, _ = c.answer(c.ask("container_create", dict(body, name="other"), client_token="abc"))
        assert env["error"]["code"] in ("INVALID", "CONFLICT")


@pytest.mark.native
def test_if_revision_refuses_a_stale_writer(host):
    name = host.detached("sleep", "600")
    revision = host.inspect(name)["meta"]["revision"]
    with host.client() as c:
        c.request("container_rename", {"ref": name, "name": "first"}, if_revision=revision)
        env, _ = c.answer(c.ask("container_rename", {"ref": "first", "name": "second"}, if_revision=revision))
    assert env["error"]["code"] == "STALE"
    assert host.inspect("first")


@pytest.mark.native
def test_projects_keep_names_apart(host):
    with host.client() as c:
        for project in ("red", "blue"):
            c.request("container_create", {"name": "same", "unique_name": True, "spec": {"image": "busybox"}}, project=project)
        red = c.request("container_list", {"all": True}, project="red")[0]["containers"]
        assert [x["meta"]["project"] for x in red] == ["red"]
        for project in ("red", "blue"):
            c.request("container_remove", {"ref": "same", "force": True}, project=project)


def test_uuids_and_ids_are_never_reused(host):
    seen = set()
    for _ in range(5):
        name = host.detached("true")
        meta = host.inspect(name)["meta"]
        assert meta["id"] not in seen and meta["uuid"] not in seen
        seen |= {meta["id"], meta["uuid"]}
        host.berth("rm", "-f", name)
        host.restart() if len(seen) == 4 else None


def test_info_counts_and_names_the_host(host):
    host.detached("sleep", "600")
    i = host.ask("info")
    assert i["containers"] == 1 and i["containers_running"] == 1 and i["pid"] == host.daemon.pid and i["shims"] == 1
    assert i["kernel"] and i["cgroup_root"].endswith(host.cgroup) and i["state_dir"] == host.state
    assert set(i.get("controllers", [])) | set(i.get("controllers_missing", [])) >= {"cpu", "memory", "pids", "io", "cpuset"}
    assert json.loads(host.berth("info", "--format", "json").out)["containers"] == 1


def test_check_names_what_is_missing_and_the_remedy(host):
    items = host.ask("check")["items"]
    for i in items:
        assert i["result"] in ("ok", "degraded", "missing") and i["name"]
        if i["result"] == "missing":
            assert i.get("remedy"), i
    by_name = {i["name"]: i["result"] for i in items}
    for c in ("memory", "cpu", "pids"):
        wanted = "ok" if c in host.info.get("controllers", []) else "missing"
        assert [r for n, r in by_name.items() if c in n.split()] == [wanted], by_name
    out = host.berth("check", code=None).out
    assert "overlay" in out and "seccomp" in out


@pytest.mark.native
def test_version_says_both_sides(host):
    out = host.berth("version").out
    assert re.search(r"\d+\.\d+\.\d+", out)


@pytest.mark.native
@pytest.mark.parametrize("args", [["ps", "-a"], ["image", "ls"], ["volume", "ls"], ["pod", "ls"], ["info"], ["check"], ["version"], ["stats", "--no-stream"]])
def test_json_everywhere(host, args):
    host.detached("-v", "json-test:/v", "--", "sleep", "600")
    r = host.berth(*args, "--format", "json", code=None)
    rows = r.out.strip()
    try:
        json.loads(rows)
    except ValueError:
        for line in rows.splitlines():
            json.loads(line)
    assert rows


@pytest.mark.native
def test_help_and_unknown_verbs(host):
    assert "run" in host.berth("--help").out
    r = host.berth("no-such-verb", code=None)
    assert r.code != 0 and "no-such-verb" in r.err
    for verb in "run create start stop restart kill pause unpause rename update rm wait ps inspect logs attach exec top stats events actions info check version".split():
        assert verb in host.berth(verb, "--help").out, verb


@pytest.mark.native
def test_without_a_daemon_the_tool_says_where_it_looked(host):
    r = host.berth("--socket", "/tmp/no-such.sock", "ps", code=None)
    assert r.code != 0 and "/tmp/no-such.sock" in r.err


def test_socket_is_for_root_and_the_group_only(host):
    import os
    import stat
    assert stat.S_IMODE(os.stat(host.socket).st_mode) == 0o660
