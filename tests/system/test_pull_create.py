"""A create that pulls: one request, one path, whoever asks. What fails leaves nothing, or an Error that says why."""

import base64
import json
import signal
import time

import pytest

from conftest import private_host
from gateway import Gateway
from host import eventually, processes
from oci import Image, layer
from proto import Refused
from stock import Stock, there
from test_pull import BAD, OTHER, bad, bad_server, held, host, image, last_layer, place, pulls, working  # noqa: F401 (fixtures)

pytestmark = pytest.mark.native


def held_image(bad, name, size=1000):
    """An image whose last layer waits for the event; its name, and the event."""
    img = image(size)
    return bad.add(img, name), held(bad, last_layer(img)), last_layer(img)


def begun(bad, blob):
    eventually(lambda: bad.asked_for("blobs/" + blob), "its layer is asked for")


def names(host):
    return [c["meta"]["name"] for c in host.list(all_projects=True)]


def fetchers():
    return [p for p in processes().values() if p[2] == "berth-fetch"]


def create(client, name, image, accept=True, start=False, **pull):
    return client.request("container_create", {"name": name, "spec": {"image": image, "command": ["sleep", "600"]}, "start": start, "pull": pull},
                          accept=accept)[0]["container"]


# ------------------------------------------------------------------ by the tool: somebody waits

def test_its_row_is_creating_with_the_task_pull(host, bad):
    name, go, blob = held_image(bad, "c/row")
    p = host.popen("run", "-d", "--name", "c", name, "sleep", "600")
    begun(bad, blob)
    c = host.inspect("c")
    assert (host.state_of("c"), c["status"]["task"], c["pull"]["name"]) == ("creating", "pull", name)
    assert "its image is being pulled" in host.berth("ps", "-a").out
    host.refused("exec", "c", "true", text="Creating", code=125)
    host.refused("run", "-d", "--name", "c", name, text="is taken", code=125)
    go.set()
    out, err = p.communicate(timeout=20)
    assert p.returncode == 0, err
    assert b"pulling" in err and out.strip().decode() == c["meta"]["uuid"]
    assert host.state_of("c") == "running" and "pull" not in host.inspect("c")


def test_ten_creates_of_one_image_are_one_pull(host, bad):
    name, go, blob = held_image(bad, "c/ten")
    clients = [host.client() for _ in range(10)]
    asked = [c.ask("container_create", {"name": "c%d" % i, "spec": {"image": name}, "pull": {}}) for i, c in enumerate(clients)]
    begun(bad, blob)
    time.sleep(0.3)
    assert len(fetchers()) == 1 and len(names(host)) == 10
    go.set()
    for c, id_ in zip(clients, asked):
        env, _ = c.answer(id_)
        assert env["container_reply"]["container"]["status"]["state"] == "CONTAINER_STATE_CREATED"
        c.close()
    assert len(bad.asked_for("c/ten/manifests/1")) == 1 and len(bad.asked_for("blobs/" + blob)) == 1


def test_a_pull_that_fails_leaves_nothing(host, bad):
    before = set(names(host))
    none = "localhost:%d/c/none:1" % BAD
    for argv in (("run", "--rm", none), ("run", "-d", none), ("create", none)):
        host.refused(*argv, text="none", code=125)
    host.refused("create", "localhost:%d/c/none:1" % (BAD + 3900), text="connect to server", code=125)
    assert set(names(host)) == before
    action = host.ask("actions", {"newest_first": True, "limit": 1})["actions"][0]
    assert (action["verb"], action["result"]) == ("create", "error") and "connect to server" in action["reason"]


def test_an_image_without_a_command_leaves_nothing(host, bad):
    name = bad.add(Image("x", [layer({"f": b"x"})], {}), "c/nothing")
    host.refused("create", name, text="neither the image nor the request names a command", code=125)
    assert not names(host)


def test_who_goes_away_takes_it_back(host, bad):
    """Also with a client_token: `run -d` is asked for with one."""
    name, go, blob = held_image(bad, "c/leaves")
    for argv in (("run", "-d", name, "sleep", "600"), ("run", "--rm", name, "true"), ("create", name)):
        bad.asked.clear()
        p = host.popen(*argv)
        begun(bad, blob)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=10)
        eventually(lambda: not names(host) and not working(), lambda: "nothing is left: %r" % names(host))
        assert "nobody waits" in host.ask("actions", {"newest_first": True, "limit": 1})["actions"][0]["reason"]
    go.set()


def test_a_stop_and_a_removal_take_it_back(host, bad):
    name, go, blob = held_image(bad, "c/taken")
    for verb, said in ((("stop", "c"), b"stopped while its image was being pulled"), (("rm", "c"), b"is being removed"), (("rm", "-f", "c"), b"is being removed")):
        bad.asked.clear()
        p = host.popen("run", "-d", "--name", "c", name, "sleep", "600")
        begun(bad, blob)
        host.berth(*verb)
        out, err = p.communicate(timeout=10)
        assert p.returncode == 125 and said in err, err
        eventually(lambda: not names(host) and not working(), lambda: "nothing is left: %r" % names(host))
    go.set()


def test_the_pull_goes_on_for_the_others(host, bad):
    name, go, blob = held_image(bad, "c/others")
    one = host.popen("run", "-d", "--name", "one", name, "sleep", "600")
    begun(bad, blob)
    two = host.popen("run", "-d", "--name", "two", name, "sleep", "600")
    eventually(lambda: len(names(host)) == 2, "both are there")
    host.berth("rm", "one")
    one.communicate(timeout=10)
    assert fetchers()
    go.set()
    out, err = two.communicate(timeout=20)
    assert two.returncode == 0, err
    assert len(bad.asked_for("blobs/" + blob)) == 1 and names(host) == ["two"]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("argv", [("run", "-d"), ("create",), ("run", "--rm")], ids=" ".join)
def test_berthd_dies_in_the_middle_of_a_create(host, bad, argv, sig):
    """The tool asks again, by itself."""
    name, go, blob = held_image(bad, "c/killed%s%d" % (argv[-1].strip("-"), sig))
    p = host.popen(*argv, "--name", "c", name, "echo", "ran")
    begun(bad, blob)
    host.kill(sig)
    go.set()
    host.start()
    out, err = p.communicate(timeout=40)
    assert p.returncode == 0, err
    if argv == ("run", "--rm"):
        assert out == b"ran\n"
    else:
        assert names(host) == ["c"]


def test_the_policies(host, bad):
    first, second = image(), image()
    name = bad.add(first, "c/policy")
    host.refused("create", "--pull", "never", name, text="no image", code=125)
    assert not bad.asked
    host.berth("create", "--name", "a", name)
    n = len(bad.asked)
    host.berth("create", "--name", "b", name)
    assert len(bad.asked) == n
    bad.add(second, "c/policy")
    host.berth("create", "--name", "d", "--pull", "always", name)
    assert (host.inspect("b")["image_id"], host.inspect("d")["image_id"]) == (first.id, second.id)
    host.refused("create", "--platform", "plan9/mips", name, text="images for plan9 cannot run here", code=125)
    host.refused("create", "sha256:" + "0" * 64, text="no image", code=125)


def test_credentials_that_cannot_be_read_stop_no_run_of_what_is_here(host, bad, place, tmp_path, monkeypatch):
    """They are a reason when it does not go without them, or when the user named the file."""
    name = bad.add(image(), "c/creds")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(broken))
    host.berth("run", "--rm", name, "true")
    none = host.refused("run", "--rm", "localhost:%d/c/none:1" % BAD, text="broken.json", code=125)
    assert "none" in none.err
    host.refused("run", "--rm", "--authfile", str(broken), name, "true", text="broken.json", code=125)


def test_a_helper_program_is_named_when_its_credentials_are_missed(host, bad, tmp_path, monkeypatch):
    """And is no reason for anything that goes without."""
    name = bad.add(image(), "c/helper")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"credHelpers": {"localhost:%d" % BAD: "cloud"}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(config))
    assert "cloud" not in host.berth("pull", name).err
    bad.on("/v2/c/locked", lambda h: h.error(401, "UNAUTHORIZED", "who?", WWW_Authenticate='Basic realm="x"'))
    for argv in (("pull",), ("run", "--rm")):
        host.refused(*argv, "localhost:%d/c/locked:1" % BAD, text="docker-credential-cloud, which berth does not run: berth login",
                     code=125 if argv[0] == "run" else 1)


# ------------------------------------------------------------------ accepted: nobody waits

def test_an_accepted_create_is_answered_at_once(host, bad):
    name, go, blob = held_image(bad, "a/once")
    with host.client() as c:
        got = create(c, "a", name)
        assert (got["status"]["state"], got["status"]["task"]) == ("CONTAINER_STATE_CREATING", "pull")
        started = create(c, "b", name, start=True)
    begun(bad, blob)
    assert [a["verb"] for a in host.actions("a") if not a.get("finished_at")] == ["create"]
    go.set()
    host.wait_state("a", "created")
    host.wait_state("b", "running")
    assert host.inspect("a")["layers"] == host.inspect("b")["layers"] and started["meta"]["uuid"] == host.inspect("b")["meta"]["uuid"]
    eventually(lambda: all(a.get("result") == "ok" for n in "ab" for a in host.actions(n)), "the actions have ended well")


def test_an_accepted_one_that_fails_is_an_error_with_its_reason(host, bad):
    name = "localhost:%d/a/late:1" % BAD
    with host.client() as c:
        create(c, "a", name, start=True)
        create(c, "b", name)
    for n in "ab":
        status = host.wait_state(n, "error")
        assert "a/late" in status["status_reason"] and not status.get("task")
        eventually(lambda: [(x["verb"], x.get("result")) for x in host.actions(n)] == [("create", "error")], lambda: host.actions(n))
    # Another try is a start.
    bad.add(image(), "a/late")
    host.berth("start", "b")
    assert host.state_of("b") == "running"
    host.berth("rm", "a")


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_berthd_dies_and_the_next_one_begins_again(host, bad, sig):
    name, go, blob = held_image(bad, "a/again%d" % sig)
    with host.client() as c:
        create(c, "a", name)
        create(c, "b", name, start=True)
        create(c, "secret", name, auth={"username": "u", "password": "hunter2"})
    begun(bad, blob)
    host.kill(sig)
    go.set()
    host.start()
    host.wait_state("a", "created")
    host.wait_state("b", "running")
    assert "credentials" in host.wait_state("secret", "error")["status_reason"]
    with open(host.state + "/berth.db", "rb") as f:
        assert b"hunter2" not in f.read()


def test_an_accepted_one_can_be_stopped_and_removed(host, bad):
    name, go, blob = held_image(bad, "a/stop")
    with host.client() as c:
        create(c, "a", name, start=True)
        create(c, "b", name)
    begun(bad, blob)
    host.berth("stop", "a")
    assert host.state_of("a") == "stopped" and fetchers()
    host.berth("rm", "b")
    eventually(lambda: not working(), "nobody wants it any more")
    go.set()
    host.berth("start", "a")
    assert host.state_of("a") == "running"


def test_members_may_not_unless_it_is_here(host, bad):
    name = bad.add(image(), "m/one")
    token = host.berth("token", "create", "--project", "p", "--user", "u", "--role", "member").text
    with host.client(token=token) as c:
        for policy in ("PULL_POLICY_MISSING", "PULL_POLICY_ALWAYS"):
            with pytest.raises(Refused, match="members of projects may not pull"):
                create(c, "a", name, policy=policy)
        assert not bad.asked
        host.berth("pull", name)
        create(c, "a", name, policy="PULL_POLICY_MISSING")


# ------------------------------------------------------------------ members

@pytest.fixture
def open_host(place):
    """One whose members may pull from one registry, with credentials that are not the host's."""
    with open(place + "/members.conf", "w") as f:
        f.write('plain_http = "localhost:%d localhost:%d"\nmembers_pull = "docker.io/library, localhost:%d/open"\nmembers_images = 2\n' % (BAD, OTHER, BAD))
        f.write("auth_file = %s/hosts.json\nmembers_auth_file = %s/members.json\n" % (place, place))
    for name, user in (("hosts", "host"), ("members", "guest")):
        with open(place + "/%s.json" % name, "w") as f:
            json.dump({"auths": {"localhost:%d" % BAD: {"auth": base64.b64encode((user + ":x").encode()).decode()}}}, f)
    with private_host(options=["--config", place + "/members.conf"]) as h:
        yield h


def test_members_pull_where_they_may(open_host, bad):
    """With credentials of their own, or those that are for them; never with the host's."""
    host, users = open_host, []

    def locked(h):
        given = h.headers.get("Authorization")
        if not given:
            return h.error(401, "UNAUTHORIZED", "who?", WWW_Authenticate='Basic realm="x"')
        users.append(base64.b64decode(given.split()[1]).decode().split(":")[0])
        return False
    bad.on("/v2/open/", locked)
    one, two, other, third = (bad.add(image(), n) for n in ("open/one", "open/two", "opener/x", "open/three"))
    token = host.token("p")
    with host.client(token=token) as c:
        create(c, "a", one, accept=False)
        assert set(users) == {"guest"}
        c.request("image_pull", {"name": two, "auth": {"username": "mine", "password": "y"}})
        assert set(users) == {"guest", "mine"}
        for fields, said in (({"name": other}, "members_pull"), ({"name": third, "tls_verify": False}, "show who they are"),
                             ({"name": third, "platform": "linux/arm64"}, "own platform")):
            with pytest.raises(Refused, match=said) as e:
                c.request("image_pull", fields)
            assert e.value.code == "DENIED"
        with pytest.raises(Refused, match="members_images") as e:
            c.request("image_pull", {"name": third})
        assert e.value.code == "EXHAUSTED"
        with pytest.raises(Refused, match="members_pull") as e:
            create(c, "b", other)
        assert e.value.code == "NOT_FOUND"
    users.clear()
    host.berth("pull", third)
    assert set(users) == {"host"}


# ------------------------------------------------------------------ Zun's clients

@pytest.fixture
def zun(host):
    g = Gateway(host, port=9518).start()
    yield g
    g.stop()


def test_zun_shows_the_pull(zun, host, bad):
    name, go, blob = held_image(bad, "z/shown")
    a = zun.admin
    uuid = a.post("?run=true", {"image": name, "command": ["sleep", "600"]}).json()["uuid"]
    begun(bad, blob)
    a.wait(uuid, "Creating", "image_pulling")
    a.ask("POST", "/v1/containers/%s/stop" % uuid, status=409)
    other = a.post("", {"image": name}).json()["uuid"]
    a.delete(other)
    a.gone(other)
    go.set()
    a.wait(uuid, "Running")
    assert a.show(uuid)["image_pull_policy"] == "ifnotpresent"


def test_zun_error_says_why(zun, host, bad):
    a = zun.admin
    uuid = a.post("", {"image": "localhost:%d/z/none:1" % BAD}).json()["uuid"]
    got = a.wait(uuid, "Error")
    assert "z/none" in got["status_reason"]
    a.delete(uuid)
    a.gone(uuid)
    assert a.post("", {"image": "localhost:%d/z/none:1" % BAD, "image_pull_policy": "never"}, 400).error["code"] == "container.image-not-found"


@pytest.mark.skipif(not there(), reason="no python3-openstackclient and python3-zunclient")
def test_zuns_own_client_pulls_by_policy(zun, host, bad):
    first, second = image(), image()
    name = bad.add(first, "z/client")
    stock = Stock()

    def client(*argv, code=0):
        got = stock.run("openstack", ["--os-auth-type", "admin_token", "--os-token", zun.admin.token, "--os-endpoint", "http://127.0.0.1:9518/v1",
                                      "appcontainer", *argv], {})
        assert (got[0] == 0) == (code == 0), got
        return got[1] + got[2]
    try:
        client("create", "--name", "c0", "--image-pull-policy", "never", name, code=1)
        client("run", "--name", "c1", "--image-pull-policy", "ifnotpresent", name, "sleep", "600")
        zun.admin.wait("c1", "Running")
        bad.add(second, "z/client")
        client("create", "--name", "c2", "--image-pull-policy", "always", name, "sleep", "600")
        zun.admin.wait("c2", "Created")
        assert (host.inspect("c1")["image_id"], host.inspect("c2")["image_id"]) == (first.id, second.id)
        assert zun.admin.show("c2")["image_pull_policy"] == "always"
    finally:
        stock.close()
