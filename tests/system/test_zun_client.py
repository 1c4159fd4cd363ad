"""Zun's own command lines, unmodified, against a fresh berth: `openstack appcontainer` with a token, and `zun`, which knows passwords
alone and gets its token for one from our /v3. What each command does is looked at by raw HTTP."""

import re

import pytest

from host import eventually
from stock import PACKAGES, Stock, there

pytestmark = [pytest.mark.native, pytest.mark.skipif(not there(), reason="no %s" % PACKAGES)]

LISTENS = ["sh", "-c", "trap 'exit 0' TERM; trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done"]


@pytest.fixture(scope="module")
def stock():
    s = Stock()
    yield s
    s.close()


class Client:
    def __init__(self, stock, name, caller):
        self.stock, self.name, self.caller = stock, name, caller

    def __call__(self, *argv, code=0, as_=None):
        """A command in the words of `zun`: "action-list c"."""
        caller = as_ or self.caller
        if self.name == "zun":
            env = {"OS_AUTH_URL": "http://127.0.0.1:9517/v3", "OS_USERNAME": caller.user, "OS_PASSWORD": caller.token,
                   "OS_PROJECT_NAME": caller.project, "OS_USER_DOMAIN_ID": "default", "OS_PROJECT_DOMAIN_ID": "default"}
            got = self.stock.run("zun", argv, env)
        else:
            words = {"update": ["set"], "action-list": ["action", "list"], "action-show": ["action", "show"]}.get(argv[0], [argv[0]])
            got = self.stock.run("openstack", ["--os-auth-type", "admin_token", "--os-token", caller.token,
                                               "--os-endpoint", "http://127.0.0.1:9517/v1", "appcontainer", *words, *argv[1:]], {})
        assert code is None or got[0] == code, got
        return got[1] + got[2]


@pytest.fixture(params=["openstack", "zun"])
def client(request, stock, gateway):
    return Client(stock, request.param, gateway.caller())


@pytest.fixture
def caller(gateway):
    return gateway.caller()


@pytest.fixture
def web(gateway, host):
    caller = gateway.caller()
    caller.running(*LISTENS, name="web")
    eventually(lambda: caller.get("/web/logs").json(), "it listens")
    return "web"


def row(table, key):
    """The value of a key in a table of two columns."""
    return re.search(r"^\|\s*%s\s*\|\s*(.*?)\s*\|\s*$" % re.escape(key), table, re.M)[1]


def test_create(client, caller):
    out = client("create", "--name", "web", "--environment", "A=1", "--label", "k=v", "--restart", "on-failure:3", "--workdir", "/tmp",
                 "--hostname", "h1", "busybox", "sleep", "600")
    c = caller.show("web")
    assert c["uuid"] in out and row(out, "name") == "web"
    assert (c["status"], c["command"], c["environment"], c["labels"]) == ("Created", ["sleep", "600"], {"A": "1"}, {"k": "v"})
    assert c["restart_policy"] == {"Name": "on-failure", "MaximumRetryCount": "3"} and (c["workdir"], c["hostname"]) == ("/tmp", "h1")


def test_create_with_a_terminal(client, caller):
    client("create", "--name", "web", "--interactive", "busybox")
    c = caller.show("web")
    assert c["interactive"] is True and c["tty"] is True


def test_run(client, caller):
    client("run", "--name", "web", "busybox", "sleep", "600")
    caller.wait("web", "Running")


def test_create_with_what_is_not_there_yet_says_which(client):
    out = client("create", "--name", "web", "--net", "network=n", "busybox", code=None)
    assert "Invalid input for field 'nets'" in out and "HTTP 400" in out


def test_list(client, caller, web):
    uuid = caller.show(web)["uuid"]
    other = caller.create(name="other")["uuid"]
    assert {uuid, other} <= set(re.findall(r"[0-9a-f-]{36}", client("list")))
    out = client("list", "--name", "other")
    assert other in out and uuid not in out
    out = client("list", "--limit", "1")
    assert uuid in out and other not in out
    out = client("list", "--sort-key", "name", "--sort-dir", "asc")
    assert out.index(other) < out.index(uuid)
    out = client("list", "--marker", uuid)
    assert other in out and uuid not in out


def test_list_all_projects(client, caller, gateway, web):
    other = gateway.caller("rival", "bob").create()["uuid"]
    out = client("list", "--all-projects", as_=gateway.admin)
    assert other in out and caller.show(web)["uuid"] in out
    assert "HTTP 403" in client("list", "--all-projects", code=None)


def test_show(client, caller, web):
    out = client("show", web)
    assert row(out, "uuid") == caller.show(web)["uuid"] and row(out, "status") == "Running" and row(out, "image") == "busybox"
    assert "Container nobody could not be found" in client("show", "nobody", code=None)


def test_start(client, caller):
    caller.create(name="web")
    assert "web" in client("start", "web")
    caller.wait("web", "Running")


def test_stop(client, caller, web):
    client("stop", web)
    caller.wait(web, "Stopped")
    assert caller.show(web)["status_detail"].startswith("Exited(0) ")


def test_restart(client, caller, web):
    pid = caller.get("/web/top").json()["Processes"][0][1]
    client("restart", "--timeout", "5", web)
    eventually(lambda: caller.show(web)["status"] == "Running" and caller.get("/web/top").json()["Processes"][0][1] != pid, "another process")


def test_pause_and_unpause(client, caller, web):
    client("pause", web)
    caller.wait(web, "Paused")
    client("unpause", web)
    caller.wait(web, "Running")


def test_kill(client, caller, web):
    client("kill", web)
    caller.wait(web, "Stopped")
    assert caller.show(web)["status_detail"].startswith("Exited(137) ")


def test_kill_with_a_signal(client, caller, web):
    client("kill", "--signal", "SIGUSR1", web)
    caller.wait(web, "Stopped")
    assert caller.show(web)["status_detail"].startswith("Exited(42) ")


def test_exec(client, web):
    assert client("exec", web, "echo", "a  b", "c").strip() == "a  b c"
    assert "Timeout" not in client("exec", web, "true")


def test_logs(client, web):
    assert client("logs", web).strip() == "ready"
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z ready$", client("logs", "--stdout", "--timestamps", "--tail", "1", web).strip())
    assert client("logs", "--stderr", web).strip() == ""


def test_stats(client, web):
    out = client("stats", web)
    assert row(out, "CONTAINER") == web and row(out, "NET I/O(B)") == "0/0"


def test_top_is_answered_and_then_the_client_fails_of_itself(client, web):
    out = client("top", web, code=None)
    assert "%-20s" in out and "unsupported operand" in out, "on Python 3 it cannot print what it got"


def test_update(client, caller, web):
    uuid = caller.show(web)["uuid"]
    client("update", "--name", "renamed", web)
    assert caller.show("renamed")["uuid"] == uuid


def test_actions(client, caller, web):
    uuid = caller.show(web)["uuid"]
    client("stop", web)
    caller.wait(web, "Stopped")
    out = client("action-list", web)
    assert "create" in out and "stop" in out and uuid in out
    request = caller.get("/web/container_actions").json()["containerActions"][0]["request_id"]
    out = client("action-show", web, request)
    assert request in out and "compute__do_container_stop" in out and "Success" in out


def test_delete(client, caller, web):
    uuid = caller.create(name="other")["uuid"]
    client("delete", "other")
    caller.gone(uuid)
    assert "Cannot delete container" in client("delete", web, code=None)
    assert caller.show(web)["status"] == "Running"


def test_delete_with_stop(client, caller, web):
    uuid = caller.show(web)["uuid"]
    client("delete", "--stop", web)
    caller.gone(uuid)


def test_delete_with_force(client, caller, gateway, web):
    uuid = caller.show(web)["uuid"]
    assert "HTTP 403" in client("delete", "--force", web, code=None) or caller.show(web)
    client("delete", "--force", web, as_=gateway.boss)
    caller.gone(uuid)


@pytest.mark.parametrize("argv", [("attach", "web"), ("commit", "web", "x"), ("rebuild", "web"), ("network-list", "web"), ("image-list",), ("host-list",),
                                  ("service-list",), ("capsule-list",), ("registry-list",), ("quota-get", "shop")], ids=" ".join)
def test_what_is_not_there_yet_is_refused_clearly(stock, gateway, argv):
    caller = gateway.boss
    caller.running(*LISTENS, name="web")
    out = Client(stock, "zun", caller)(*argv, code=None)
    assert "HTTP 501" in out and "not available in this version of berth" in out


def test_rename_is_of_old_versions(stock, gateway):
    gateway.caller().create(name="web")
    zun = Client(stock, "zun", gateway.caller())
    assert "HTTP 406" in zun("rename", "web", "new", code=None)
    zun("--zun-api-version", "1.13", "rename", "web", "new")
    assert gateway.caller().show("new")


def test_versions_and_zones(stock, gateway):
    zun = Client(stock, "zun", gateway.caller())
    out = zun("version-list")
    assert "1.40" in out and "CURRENT" in out
    assert "nova" in zun("availability-zone-list")


@pytest.mark.parametrize("name", ["openstack", "zun"])
def test_a_wrong_token_is_no_way_in(stock, gateway, name):
    caller = gateway.caller()
    caller = type(caller)(gateway, "berth_" + "x" * 43, project="shop", user="alice")
    out = Client(stock, name, caller)("list", code=None)
    assert "HTTP 401" in out or "Not authorized" in out
