"""Zun's API as its clients know it, asked by raw HTTP: what the gateway's own tables say is gone through row by row, and the places
where Zun is not what one would think have tests with their names."""

import re
import time

import pytest

from gateway import UUID, tables
from host import SLOW, eventually

pytestmark = pytest.mark.native

ZUN = tables()["zun"]
ROUTES = ZUN["routes"]
ACTIONS = ZUN["actions"]
STATUSES = ["Created", "Running", "Stopped", "Paused", "Restarting", "Error", "Deleting"]     # those that can be brought about at will

UNAUTHORIZED = {"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}


def path_of(route, ref="nobody"):
    path = route["path"].replace("[/v1]", "/v1")
    return re.sub(r"\{(\w+)\}", lambda m: ref if m[1] == "id" else "req-x" if m[1] == "request" else "p", path)


def title_of(route):
    return isinstance(route, dict) and "%s %s%s" % (route["method"], route["path"], " %s-%s" % (route.get("since", ""), route.get("until", "")))


def version_of(route):
    return "1.%d" % (route.get("until") or 40)


def answered(route, caller, ref="nobody", **kw):
    body = {"image": "busybox"} if route["method"] == "POST" and route["path"].endswith("containers") else None
    query = "?command=true" if route["path"].endswith("/execute") else "?name=xx" if route["path"].endswith("/rename") else ""
    headers = {"Content-Type": "application/json"}
    return caller.at(version_of(route)).ask(route["method"], path_of(route, ref) + query, body, headers={**headers, **kw.pop("headers", {})}, **kw)


@pytest.fixture(scope="module")
def dead_tokens():
    """Made once: nothing that a test would change."""
    return {}


# ---------------------------------------------------------------- every route: who may

@pytest.mark.parametrize("route", ROUTES, ids=title_of)
def test_without_a_token_that_counts_a_route_answers_as_keystone_would(gateway, dead_tokens, route):
    if not dead_tokens:
        revoked = gateway.token("shop", "gone")
        gateway.host.berth("token", "revoke", gateway.host.berth("token", "ls", "--format", "json").json()[-1]["id"])
        expired = gateway.token("shop", "late", "member", "--expires", "1s")
        dead_tokens.update(none=None, empty="", unknown="berth_" + "A" * 43, garbage="%00'\"", revoked=revoked, expired=expired)
        time.sleep(1.1)
    for kind, token in dead_tokens.items():
        a = answered(route, gateway.admin, headers={"X-Auth-Token": token})
        if route["who"] == "public":
            assert a.status == 200, (kind, a)
            continue
        assert a.status == 401 and a.json() == UNAUTHORIZED, (kind, a)
        assert a.headers["www-authenticate"] == 'Keystone uri="http://127.0.0.1:9517/v3"', (kind, a)
        assert a.headers["x-openstack-request-id"].startswith("req-")


@pytest.mark.parametrize("route", [r for r in ROUTES if r["who"] == "admin"], ids=title_of)
def test_what_is_for_admins_is_refused_to_members(gateway, route):
    assert answered(route, gateway.caller()).status == 403


@pytest.mark.parametrize("route", [r for r in ROUTES if "containers/{id}" in r["path"]], ids=title_of)
def test_a_foreign_container_is_not_there(gateway, route):
    uuid = gateway.caller("shop").create()["uuid"]
    a = answered(route, gateway.caller("rival", "bob"), uuid)
    if a.status == 501:
        return
    assert a.status == 404, a
    assert a.error["code"] in ("container.container-not-found", "container.resource-not-found"), a
    assert gateway.caller("shop").show(uuid)["status"] == "Created"


LATER = [r for r in ROUTES if not re.search(r"^/|containers$|availability_zones|/(start|stop|reboot|pause|unpause|kill|rename|logs|execute|top|stats)$"
                                            r"|containers/\{id\}$|container_actions", r["path"])]


@pytest.mark.parametrize("route", LATER, ids=title_of)
def test_what_is_not_there_yet_says_so(gateway, route):
    a = answered(route, gateway.admin)
    assert a.status == 501 and a.error["code"] == "container.not-implemented", a
    assert "not available in this version of berth" in a.title


# ---------------------------------------------------------------- every route: versions

@pytest.mark.parametrize("route", [r for r in ROUTES if r.get("since") or r.get("until")], ids=title_of)
def test_a_route_is_there_from_its_first_to_its_last_version(gateway, route):
    rows = [r for r in ROUTES if (r["method"], r["path"]) == (route["method"], route["path"])]
    for minor in {1, route.get("since", 1) - 1, route.get("since", 1), route.get("until", 40), route.get("until", 40) + 1, 40} - {0, 41}:
        there = any(r.get("since", 1) <= minor <= r.get("until", 40) for r in rows)
        a = answered(route, gateway.admin, headers={"OpenStack-API-Version": "container 1.%d" % minor})
        assert (a.status == 406) == (not there), (minor, a)
        if not there:
            assert a.error["code"] == "container." and a.error["status"] == 406
            assert a.error["detail"] == "Version 1.%d was requested but the requested API is not supported for this version." % minor


CREATE = next((r["args"] for r in ROUTES if r["method"] == "POST" and r["path"].endswith("containers") and r.get("since")), {})
VALUES = {"string": "xx", "boolean": False, "map": {}, "array": [], "integer": 5}


@pytest.mark.parametrize("key", [k for k, p in CREATE.items() if p.get("since")])
def test_a_key_is_refused_before_its_version(gateway, key):
    since = CREATE[key]["since"]
    for minor in (1, since - 1):
        a = gateway.admin.at("1.%d" % minor).post("", {"image": "busybox", key: VALUES[CREATE[key]["type"]]}, 400)
        if key in ("host", "entrypoint"):
            assert a.error["code"] == "container.schema-validation-error"
            assert a.title == "Additional properties are not allowed ('%s' was unexpected)" % key
        else:
            assert a.error["code"] == "container.invalid-param-in-version"
            assert a.title == ("Invalid param %s because current request version is 1.%d. %s is only supported from version 1.%d"
                               % (key, minor, key, since))
    a = gateway.admin.at("1.%d" % since).ask("POST", "/v1/containers", {"image": "busybox", key: VALUES[CREATE[key]["type"]]})
    assert a.status == 202 or "version" not in a.title, a


@pytest.mark.parametrize("header, echo", [(None, "1.1"), ("container 1.1", "1.1"), ("container 1.40", "1.40"), ("container latest", "1.40"),
                                          ("container Latest", "1.40")])
def test_the_version_used_is_echoed(gateway, header, echo):
    a = gateway.caller().get("", headers={"OpenStack-API-Version": header})
    assert a.headers["openstack-api-version"] == "container " + echo
    assert a.headers["openstack-api-minimum-version"] == "container 1.1"
    assert a.headers["openstack-api-maximum-version"] == "container 1.40"
    assert a.headers["vary"] == "OpenStack-API-Version"


@pytest.mark.parametrize("header", ["compute 1.1", "1.1", "latest", "container", "container 1.1 1.2"])
def test_another_service_is_not_acceptable(gateway, header):
    a = gateway.caller().get("", 406, headers={"OpenStack-API-Version": header})
    assert a.error["detail"] == "Invalid service type for OpenStack-API-Version header" and a.error["code"] == "container."


@pytest.mark.parametrize("header", ["container x.y", "container 1", "container 1.2.3"])
def test_what_is_no_version_is_not_acceptable(gateway, header):
    a = gateway.caller().get("", 406, headers={"OpenStack-API-Version": header})
    assert a.error["detail"] == "Invalid value for OpenStack-API-Version header"


@pytest.mark.parametrize("version", ["1.0", "1.41", "1.99", "2.0", "2.1", "0.1"])
def test_a_version_out_of_range_says_the_range(gateway, version):
    e = gateway.caller().get("", 406, headers={"OpenStack-API-Version": "container " + version}).error
    assert (e["code"], e["title"]) == ("zun.microversion-unsupported", "Requested microversion is unsupported")
    assert (e["max_version"], e["min_version"], e["status"]) == ("1.40", "1.1", 406)
    assert e["links"][0]["rel"] == "help" and version in e["detail"]


# ---------------------------------------------------------------- every action in every state

KIND = ["sh", "-c", "trap 'exit 143' TERM; sleep 600 & wait"]     # ends when it is told to


def made_for(caller, status):
    """Something that will come into this status by itself, or has to be paused or deleted first."""
    command = {"Stopped": ["true"], "Restarting": ["false"], "Error": ["/no/such/program"], "Deleting": ["guest", "ignore-term"]}.get(status, KIND)
    policy = {"restart_policy": {"Name": "always"}} if status == "Restarting" else {}
    return caller.create(*command, run=status != "Created", **policy)["uuid"]


def brought_to(caller, status, uuid):
    """… and stays there for a while."""
    if status in ("Paused", "Deleting"):
        caller.wait(uuid, "Running")
        if status == "Paused":
            caller.post("/%s/pause" % uuid)
        else:
            caller.delete(uuid, "?stop=true")
    if status == "Restarting":
        eventually(lambda: re.search(r"retry \d+ in \d{4,} ms", caller.show(uuid)["status_reason"] or ""), "it waits a second or more", 20)
    caller.wait(uuid, status, "container_deleting" if status == "Deleting" else None, 20)
    return uuid


def in_status(caller, status):
    return brought_to(caller, status, made_for(caller, status))


def act(gateway, caller, action, uuid):
    if action == "update":
        return caller.ask("PATCH", "/v1/containers/" + uuid, {"name": "other-name"})
    if action.startswith("delete"):
        who = gateway.boss if action == "delete_force" else caller
        return who.ask("DELETE", "/v1/containers/" + uuid + {"delete": "", "delete_after_stop": "?stop=True", "delete_force": "?force=1"}[action])
    method = "GET" if action in ("top", "stats", "logs") else "POST"
    return caller.ask(method, "/v1/containers/%s/%s%s" % (uuid, action, "?command=true" if action == "execute" else ""))


SUCCESS = {"execute": 200, "top": 200, "stats": 200, "logs": 200, "update": 200, "delete": 204, "delete_after_stop": 204, "delete_force": 204}


@pytest.mark.parametrize("status", STATUSES)
def test_what_the_table_forbids_is_a_conflict_and_changes_nothing(gateway, status):
    caller = gateway.caller()
    uuid = in_status(caller, status)
    for action in (a for a, statuses in ACTIONS.items() if status not in statuses):
        a = act(gateway, caller, action, uuid)
        assert a.status == 409, (action, a)
        assert a.error["code"] == "container.invalid-state-exception"
        assert a.title == "Cannot %s container %s in %s state" % (action, uuid, status)
        assert caller.show(uuid)["status"] == status, action
    gateway.boss.delete(uuid, "?force=true")


@pytest.mark.parametrize("status", STATUSES)
def test_what_the_table_allows_is_done(gateway, status):
    caller = gateway.caller()
    for action, uuid in [(a, made_for(caller, status)) for a, statuses in ACTIONS.items() if status in statuses]:
        brought_to(caller, status, uuid)
        a = act(gateway, caller, action, uuid)
        assert a.status == SUCCESS.get(action, 202), (action, a)
        if a.status == 202:
            assert a.body == b"null" and a.headers["content-type"] == "application/json"
        after = {"start": "Running", "reboot": "Running", "stop": "Stopped", "kill": "Stopped", "pause": "Paused", "unpause": "Running"}
        if action in after:
            # What fails to start is an Error again.
            eventually(lambda: caller.show(uuid)["status"] in (after[action], status if status in ("Error", "Stopped") else None),
                       lambda: "%s: %r" % (action, caller.show(uuid)), 15)
        if action.startswith("delete") and status != "Deleting":
            caller.gone(uuid)
        gateway.boss.ask("DELETE", "/v1/containers/" + uuid + "?force=true")     # whether it is there or not


def test_tasks_show_while_they_are_under_way(gateway):
    caller = gateway.caller()
    uuid = caller.running("guest", "ignore-term")
    caller.post("/%s/stop?timeout=1" % uuid)
    now = caller.show(uuid)
    assert (now["status"], now["task_state"]) == ("Running", "container_stopping")
    caller.wait(uuid, "Stopped")
    caller.post("/%s/start" % uuid)
    caller.wait(uuid, "Running")
    caller.post("/%s/reboot?timeout=1" % uuid)
    now = caller.show(uuid)
    assert (now["status"], now["task_state"]) == ("Restarting", "container_rebooting")
    caller.wait(uuid, "Running")
    gateway.boss.delete(uuid, "?force=true")


# ---------------------------------------------------------------- errors and headers

def test_an_error_has_exactly_zuns_shape(gateway):
    a = gateway.caller().get("/nobody", 404)
    assert a.json() == {"errors": [{"request_id": "", "code": "container.container-not-found", "status": 404,
                                    "title": "Container nobody could not be found.", "detail": "Container nobody could not be found.", "links": []}]}
    assert a.headers["content-type"] == "application/json"
    assert re.fullmatch("req-" + UUID.pattern, a.headers["x-openstack-request-id"])


def test_every_answer_has_a_request_id_of_its_own(gateway):
    caller = gateway.caller()
    seen = set()
    for method, target in (("GET", "/"), ("GET", "/v1"), ("GET", "/nothing"), ("GET", "/v1/containers"), ("POST", "/v1/containers/nobody/stop"),
                           ("PUT", "/v1/containers")):
        id_ = caller.ask(method, target).headers["x-openstack-request-id"]
        assert re.fullmatch("req-" + UUID.pattern, id_)
        seen.add(id_)
    assert len(seen) == 6


def test_the_request_id_is_in_the_actions_and_in_the_logs(gateway):
    caller = gateway.caller()
    a = caller.post("", {"image": "busybox", "command": ["sleep", "600"]})
    uuid, id_ = a.json()["uuid"], a.headers["x-openstack-request-id"]
    assert [x["request_id"] for x in caller.get("/%s/container_actions" % uuid).json()["containerActions"]] == [id_]
    assert any(x["request_id"] == id_ for x in gateway.host.ask("actions", {"ref": uuid}, project="shop")["actions"])
    refused = caller.post("/%s/stop" % uuid, status=409).headers["x-openstack-request-id"]
    assert refused != id_


@pytest.mark.parametrize("target", ["/nosuch", "/v2/containers", "/v1/nosuch", "/v1/containers/x/nosuch", "/v1/containers/x/start/y"])
def test_an_unknown_path_is_not_found_by_the_router(gateway, target):
    e = gateway.caller().ask("GET", target, status=404).error
    assert (e["code"], e["title"]) == ("container.", "Not Found")
    assert gateway.caller().ask("GET", target, status=401, headers={"X-Auth-Token": None}).json() == UNAUTHORIZED


@pytest.mark.parametrize("method, target, allow", [("PUT", "/v1/containers", {"GET", "POST"}), ("HEAD", "/v1/containers", {"GET", "POST"}),
                                                   ("OPTIONS", "/v1/containers/x", {"GET", "PATCH", "DELETE"}), ("GET", "/v1/networks", {"POST"})])
def test_a_wrong_method_says_the_right_ones(gateway, method, target, allow):
    a = gateway.caller().ask(method, target, status=405)
    assert {m.strip() for m in a.headers["allow"].split(",")} == allow
    if method != "HEAD":
        assert a.error["code"] == "container."


@pytest.mark.parametrize("target", ["/v1/containers", "/v1/containers/", "/containers", "/containers/", "//v1//containers//"])
def test_slashes_and_the_version_in_the_path_do_not_matter(gateway, target):
    assert gateway.caller().ask("GET", target, status=200).json()["containers"] == []


def test_doubled_slashes_do_not_matter_within(gateway):
    uuid = gateway.caller().running()
    assert gateway.caller().ask("POST", "/v1/containers//%s/execute?command=true" % uuid, status=200)


@pytest.mark.parametrize("type_", [None, "text/plain", "application/octet-stream", "application/jsonx"])
def test_a_create_that_is_not_json_is_415(gateway, type_):
    a = gateway.caller().post("", status=415, raw=b'{"image": "busybox"}', headers={"Content-Type": type_})
    assert a.error["code"] == "container."


def test_a_charset_is_no_other_type(gateway):
    gateway.caller().post("", status=202, raw=b'{"image": "busybox"}', headers={"Content-Type": "application/json; charset=utf-8"})


@pytest.mark.parametrize("raw", [b"", b"null", b"{}"])
def test_nothing_in_a_create_lacks_an_image(gateway, raw):
    assert gateway.caller().post("", status=400, raw=raw).title == "'image' is a required property"


@pytest.mark.parametrize("raw", [b"{", b"[1]", b'"x"', b'{"image": "a", "image": "b"}', b'{"image": "\xff"}', b'{"image": NaN}', b"1"])
def test_what_is_no_object_of_json_is_400(gateway, raw):
    a = gateway.caller().post("", status=400, raw=raw)
    assert a.error["code"] == "container.schema-validation-error"


# ---------------------------------------------------------------- create: every key

GOOD = [
    ("image", "docker.io/library/busybox:latest"), ("name", "ab"), ("name", "A.b_c-1"), ("name", None), ("name", "x" * 255),
    ("command", None), ("command", []), ("command", ["echo", 1, True, 2.5]), ("entrypoint", None), ("entrypoint", []), ("entrypoint", ["/bin/sh", "-c"]),
    ("environment", None), ("environment", {"A": "1", "B": ""}), ("labels", None), ("labels", {"a": 1, "b": True, "c": "x", "d": [1], "e": None}),
    ("workdir", None), ("workdir", "/tmp"), ("hostname", "h-1.x"), ("interactive", "True"), ("interactive", True), ("tty", "false"),
    ("auto_remove", None), ("auto_remove", False), ("auto_heal", "False"), ("restart_policy", None), ("restart_policy", {"Name": "no"}),
    ("restart_policy", {"Name": "on-failure", "MaximumRetryCount": "3"}), ("restart_policy", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ("restart_policy", {"Name": "always", "MaximumRetryCount": None}), ("image_driver", None), ("image_driver", "None"), ("image_driver", "docker"),
    ("security_groups", []), ("security_groups", None), ("exposed_ports", {}), ("nets", []), ("mounts", []), ("hints", {}),
    ("availability_zone", "nova"), ("cpu_policy", "shared"), ("healthcheck", None), ("run", "off"), ("run", False),
]
BAD = [
    ("image", None, "image"), ("image", "a", "image"), ("image", "x" * 256, "image"), ("image", 1, "image"), ("image", "??", "image"),
    ("name", "a", "name"), ("name", "-ab", "name"), ("name", "a b", "name"), ("name", "x" * 256, "name"), ("name", 5, "name"),
    ("command", "sleep 1", "command"), ("command", {}, "command"), ("entrypoint", "sh", "entrypoint"),
    ("cpu", "0.05", "cpu"), ("cpu", 0, "cpu"), ("cpu", 16.5, "cpu"), ("cpu", "1e1", "cpu"), ("cpu", "x", "cpu"), ("cpu", [], "cpu"), ("cpu", "", "cpu"),
    ("memory", "512m", "memory"), ("memory", 3, "memory"), ("memory", "2", "memory"), ("memory", 8193, "memory"), ("memory", 1.5, "memory"), ("memory", "", "memory"),
    ("disk", 0, "disk"), ("disk", 161, "disk"), ("disk", 10, "disk"), ("environment", {"A": 1}, "environment.A"), ("environment", [], "environment"),
    ("labels", [], "labels"), ("workdir", 1, "workdir"), ("hostname", "", "hostname"), ("hostname", "a b", "hostname"), ("hostname", "x" * 256, "hostname"),
    ("interactive", 1, "interactive"), ("interactive", "yes", "interactive"), ("interactive", None, "interactive"), ("tty", 0, "tty"),
    ("auto_remove", "true", "auto_remove"), ("auto_remove", 1, "auto_remove"), ("auto_heal", True, "auto_heal"), ("auto_heal", 1, "auto_heal"),
    ("restart_policy", {}, "Name"), ("restart_policy", {"Name": "often"}, "Name"), ("restart_policy", {"Name": "no", "x": 1}, "x"),
    ("restart_policy", {"Name": "on-failure", "MaximumRetryCount": -1}, "MaximumRetryCount"), ("restart_policy", "always", "restart_policy"),
    ("restart_policy", {"Name": "always", "MaximumRetryCount": 1}, "restart_policy"), ("image_driver", "glance", "image_driver"), ("image_driver", "x", "image_driver"),
    ("security_groups", ["default"], "security_groups"), ("exposed_ports", {"80": {}}, "exposed_ports"), ("nets", [{"network": "n"}], "nets"), ("nets", {}, "nets"),
    ("mounts", [{"source": "a", "destination": "/b"}], "mounts"), ("hints", {"a": "b"}, "hints"), ("availability_zone", "mars", "availability_zone"),
    ("cpu_policy", "dedicated", "cpu_policy"), ("cpu_policy", "x", "cpu_policy"), ("healthcheck", {"cmd": "true"}, "healthcheck"), ("registry", "r1", "registry"),
    ("run", "maybe", "run"), ("bogus", 1, "bogus"),
]


def brief(v):
    return str(v)[:40]


@pytest.mark.parametrize("key, value", GOOD, ids=brief)
def test_a_good_value_of_a_create_is_taken(gateway, key, value):
    caller = gateway.caller()
    body = {"image": "busybox", key: value}
    assert caller.post("", body).json()["status"] in ("Creating", "Created")


@pytest.mark.parametrize("key, value, said", BAD, ids=brief)
def test_a_bad_value_of_a_create_is_refused_by_the_name_of_its_field(gateway, key, value, said):
    caller = gateway.caller()
    a = caller.post("", {"image": "busybox", key: value}, 400)
    assert a.error["code"] in ("container.schema-validation-error", "container.invalid-value"), a
    assert "'%s'" % said in a.title or "%s'" % said in a.title, a
    assert caller.get("").json()["containers"] == [], "a refused create leaves nothing"


def test_security_groups_and_exposed_ports_together_are_400(gateway):
    gateway.caller().post("", {"image": "busybox", "security_groups": ["a"], "exposed_ports": {"80": {}}}, 400)


@pytest.mark.parametrize("who", ["member", "admin"])
@pytest.mark.parametrize("value", [True, False, "False"])
def test_privileged_is_refused_to_everybody_even_when_false(gateway, who, value):
    caller = gateway.admin if who == "admin" else gateway.caller()
    e = caller.post("", {"image": "busybox", "privileged": value}, 403).error
    assert (e["code"], e["title"]) == ("container.policy-not-authorized", "Policy doesn't allow container:create:privileged to be performed.")


@pytest.mark.parametrize("key, value", [("runtime", "runc"), ("image_pull_policy", "never"), ("host", "here")])
def test_what_only_admins_may_choose_is_403_for_members(gateway, key, value):
    assert gateway.caller().post("", {"image": "busybox", key: value}, 403).error["code"] == "container.policy-not-authorized"


def test_an_unknown_image_is_refused_at_once_and_leaves_nothing(gateway):
    e = gateway.caller().post("", {"image": "nosuch-image"}, 400).error
    assert e["code"] == "container.image-not-found" and "nosuch-image" in e["title"]
    assert gateway.caller().get("").json()["containers"] == []


# ---------------------------------------------------------------- the container object

KEYS = {"uuid", "links", "name", "project_id", "user_id", "image", "image_driver", "command", "entrypoint", "cpu", "cpu_policy", "memory", "disk",
        "status", "status_reason", "status_detail", "task_state", "environment", "labels", "workdir", "hostname", "ports", "addresses",
        "security_groups", "restart_policy", "interactive", "tty", "auto_remove", "auto_heal", "healthcheck", "registry_id", "created_at", "updated_at"}
ADMIN_KEYS = {"host", "image_pull_policy", "runtime", "privileged"}


def test_a_create_answers_with_the_object_and_its_location(gateway):
    caller = gateway.caller("shop", "alice")
    a = caller.post("", {"image": "busybox", "name": "web", "command": ["sleep", "600"], "labels": {"n": 5}, "environment": {"A": "1"},
                         "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 2}})
    c = a.json()
    assert a.headers["location"] == "http://127.0.0.1:9517/v1/containers/" + c["uuid"]
    assert set(c) == KEYS and UUID.fullmatch(c["uuid"])
    assert c["links"] == [{"href": "http://127.0.0.1:9517/v1/containers/" + c["uuid"], "rel": "self"},
                          {"href": "http://127.0.0.1:9517/containers/" + c["uuid"], "rel": "bookmark"}]
    assert (c["name"], c["project_id"], c["user_id"], c["image"]) == ("web", "shop", "alice", "busybox")
    assert c["labels"] == {"n": "5"} and c["environment"] == {"A": "1"} and c["command"] == ["sleep", "600"]
    assert c["restart_policy"] == {"Name": "on-failure", "MaximumRetryCount": "2"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", c["created_at"]) and c["updated_at"] is None
    later = caller.show("web")
    assert set(later) == KEYS and {k: later[k] for k in ("uuid", "links", "labels", "environment", "command", "restart_policy", "created_at")} \
        == {k: c[k] for k in ("uuid", "links", "labels", "environment", "command", "restart_policy", "created_at")}


def test_links_follow_the_host_header(gateway):
    a = gateway.caller().post("", {"image": "busybox"}, headers={"Host": "zun.example:80"})
    assert a.headers["location"].startswith("http://zun.example:80/v1/containers/")
    assert a.json()["links"][0]["href"] == a.headers["location"]


def test_trap_09_entries_of_a_list_have_no_links(gateway):
    caller = gateway.caller()
    uuid = caller.create()["uuid"]
    listed = caller.get("").json()["containers"]
    assert [c["uuid"] for c in listed] == [uuid] and set(listed[0]) == KEYS - {"links"}
    shown = caller.show(uuid)
    assert {k: v for k, v in shown.items() if k not in ("links", "updated_at", "status_detail")} \
        == {k: v for k, v in listed[0].items() if k not in ("updated_at", "status_detail")}, "list = show"


def test_trap_10_some_keys_are_for_admins(gateway):
    uuid = gateway.caller().create()["uuid"]
    assert set(gateway.admin.show(uuid)) == KEYS | ADMIN_KEYS
    assert set(gateway.admin.get("?all_projects=1").json()["containers"][0]) == (KEYS | ADMIN_KEYS) - {"links"}


def test_trap_11_unset_is_null_at_first_and_empty_later(gateway):
    caller = gateway.caller()
    made = caller.post("", {"image": "busybox"}).json()
    later = caller.show(made["uuid"])
    for key in ("environment", "labels", "addresses", "restart_policy", "healthcheck"):
        assert (made[key], later[key]) == (None, {}), key
    for key in ("ports", "security_groups"):
        assert (made[key], later[key]) == (None, []), key
    assert (made["command"], later["command"]) == (None, ["sh"]), "the image's"
    assert (made["hostname"], later["hostname"]) == (None, made["uuid"].replace("-", "")[:12])


def test_a_default_limit_that_this_host_cannot_keep_is_null(gateway, lacks):
    if not lacks("memory"):
        pytest.skip("this host has the controller")
    caller = gateway.caller()
    made = caller.create()
    assert made["memory"] is None and made["cpu"] is None
    a = caller.post("", {"image": "busybox", "memory": 128}, 400)
    assert a.title.startswith("Invalid input for field 'memory'. ") and "controller" in a.title
    assert [c["uuid"] for c in caller.get("").json()["containers"]] == [made["uuid"]]


def test_the_beginning_of_a_uuid_names_nothing(gateway):
    caller = gateway.caller()
    uuid = caller.create()["uuid"]
    for who in (caller, gateway.admin):
        for cut in (uuid[:1], uuid[:8], uuid.replace("-", "")[:12], uuid[:-1]):
            a = who.get("/" + cut, 404)
            assert a.title == "Container %s could not be found." % cut
    caller.delete(uuid[:8], "?stop=true", 404)
    assert caller.show(uuid)["uuid"] == uuid


@pytest.mark.parametrize("body, field", [({"environment": {"A=B": "c"}}, "environment"), ({"environment": {"": "c"}}, "environment"),
                                         ({"cpu": None}, "cpu"), ({"memory": None}, "memory"), ({"nets": None}, "nets")])
def test_what_cannot_be_meant_is_refused(gateway, body, field):
    caller = gateway.caller()
    a = caller.post("", {"image": "busybox", **body}, 400)
    assert a.title.startswith("Invalid input for field '%s'" % field), a.title
    assert caller.get("").json()["containers"] == []
    if field in ("cpu", "memory"):
        uuid = caller.create()["uuid"]
        assert caller.patch(uuid, body, 400).title.startswith("Invalid input for field '%s'" % field)


def test_a_host_name_may_have_an_underscore(gateway):
    caller = gateway.caller()
    uuid = caller.create(hostname="a_b", run=True)["uuid"]
    caller.wait(uuid, "Running")
    assert caller.post("/%s/execute?command=hostname" % uuid, {}, 200).json()["output"] == "a_b\n"


def test_trap_23_names_are_not_unique_and_an_ambiguous_one_is_409(gateway):
    caller = gateway.caller()
    uuids = {caller.create(name="twin")["uuid"] for _ in range(2)}
    assert len(uuids) == 2
    for method, target in (("GET", ""), ("POST", "/start"), ("DELETE", "")):
        e = caller.ask(method, "/v1/containers/twin" + target, status=409).error
        assert e["code"] == "container.conflict"
        assert e["title"] == "Multiple containers exist with same name. Please use the container uuid instead."
    for uuid in uuids:
        caller.delete(uuid)


def test_names_are_generated_and_differ(gateway):
    caller = gateway.caller()
    names = {caller.post("", {"image": "busybox"}).json()["name"] for _ in range(30)}
    assert len(names) == 30 and all(re.fullmatch(r"[a-z]+-([1-9]|1\d|2[0-4])-container", n) for n in names)


def test_status_detail_has_zuns_shapes(gateway):
    caller = gateway.caller()
    uuid = caller.create("sh", "-c", "exit 7")["uuid"]
    assert caller.show(uuid)["status_detail"] == "Created"
    caller.post("/%s/start" % uuid)
    caller.wait(uuid, "Stopped")
    assert re.fullmatch(r"Exited\(7\) \d seconds ago ", caller.show(uuid)["status_detail"])
    uuid = caller.running()
    assert re.fullmatch(r"Up \d seconds", caller.show(uuid)["status_detail"])
    caller.post("/%s/pause" % uuid)
    caller.wait(uuid, "Paused")
    assert re.fullmatch(r"Up \d seconds \(paused\)", caller.show(uuid)["status_detail"])


def test_a_run_is_accepted_however_soon_it_fails(gateway):
    caller = gateway.caller()
    for uuid in [caller.create("/no/such/program", run=True)["uuid"] for _ in range(30)]:
        caller.wait(uuid, "Error")
        action, = caller.get("/%s/container_actions" % uuid).json()["containerActions"]
        assert action["finish_time"] and "/no/such/program" in action["message"]


def test_what_cannot_be_started_is_an_error_with_its_reason(gateway):
    caller = gateway.caller()
    made = caller.create("/no/such/program", run=True)
    now = caller.wait(made["uuid"], "Error")
    assert "/no/such/program" in now["status_reason"]
    caller.delete(made["uuid"])


# ---------------------------------------------------------------- lists

def test_pages_follow_each_other(gateway):
    caller = gateway.caller()
    uuids = [caller.create()["uuid"] for _ in range(5)]
    seen, target = [], "?limit=2"
    for pages in range(1, 9):
        page = caller.get(target).json()
        assert len(page["containers"]) <= 2
        seen += [c["uuid"] for c in page["containers"]]
        if page["next"] is None:
            break
        assert page["next"].startswith("http://127.0.0.1:9517/v1/containers?sort_key=id&sort_dir=asc&")
        target = page["next"].split("/v1/containers")[1]
    assert seen == uuids and pages == 3
    assert caller.get("?sort_dir=desc&limit=2").json()["containers"][0]["uuid"] == uuids[4]
    assert [c["uuid"] for c in caller.get("?marker=" + uuids[2]).json()["containers"]] == uuids[3:]
    assert caller.get("?limit=5").json()["next"].endswith("limit=5&marker=" + uuids[4]), "exactly full"


def test_the_next_page_keeps_what_was_asked_for(gateway):
    caller = gateway.caller()
    for n in range(4):
        caller.create(name="ax" if n % 2 else "other")
    page = caller.get("?name=ax&limit=1&sort_key=name").json()
    assert "name=ax&" in page["next"] and "sort_key=name" in page["next"]
    rest = caller.get(page["next"].split("/v1/containers")[1]).json()
    assert [c["name"] for c in page["containers"] + rest["containers"]] == ["ax", "ax"]


def test_lists_are_sorted_by_a_column(gateway):
    caller = gateway.caller()
    for name in ("bb", "cc", "aa"):
        caller.create(name=name)
    assert [c["name"] for c in caller.get("?sort_key=name").json()["containers"]] == ["aa", "bb", "cc"]
    assert [c["name"] for c in caller.get("?sort_key=name&sort_dir=desc&limit=2").json()["containers"]] == ["cc", "bb"]


def test_filters_pick_exactly(gateway):
    caller = gateway.caller()
    a, b = caller.create(name="aa", auto_remove=True)["uuid"], caller.running(name="bb")

    def found(query):
        return {c["uuid"] for c in caller.get(query).json()["containers"]}
    assert found("?name=aa") == {a} and found("?name=a") == set()
    assert found("?status=Running") == {b} and found("?status=running") == set()
    assert found("?image=busybox") == {a, b} and found("?image=other") == set()
    assert found("?auto_remove=True") == {a} and found("?auto_remove=no") == {b}
    assert found("?project_id=shop&user_id=alice") == {a, b} and found("?project_id=rival") == set()
    assert found("?task_state=container_stopping") == set()
    assert found("?name=aa&status=Running") == set()


@pytest.mark.parametrize("query, code, status", [
    ("?limit=0", "invalid-value", 400), ("?limit=-1", "invalid-value", 400), ("?limit=x", "invalid-value", 400),
    ("?sort_dir=up", "invalid-value", 400), ("?sort_key=nosuch", "invalid-parameter-value", 400), ("?bogus=1", "invalid-value", 400),
    ("?marker=nobody", "container-not-found", 404), ("?all_projects=1", "policy-not-authorized", 403), ("?host=h", "policy-not-authorized", 403),
])
def test_a_wrong_question_of_a_list_is_refused(gateway, query, code, status):
    assert gateway.caller().get(query, status).error["code"] == "container." + code


def test_the_words_of_two_refusals_of_lists(gateway):
    assert gateway.caller().get("?limit=0", 400).title == "Limit must be positive integer"
    assert gateway.caller().get("?bogus=1", 400).title == "Unknown parameters: bogus"


def test_a_limit_is_capped_not_refused(gateway):
    gateway.caller().create()
    assert len(gateway.caller().get("?limit=99999999999999999999").json()["containers"]) == 1


# ---------------------------------------------------------------- merging of query and body, kinds of booleans

@pytest.mark.parametrize("value", ["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"])
def test_run_takes_many_words_for_yes(gateway, value):
    uuid = gateway.caller().post("?run=" + value, {"image": "busybox", "command": ["sleep", "600"]}).json()["uuid"]
    gateway.caller().wait(uuid, "Running")


def test_what_is_no_boolean_names_the_parameter(gateway):
    a = gateway.caller().post("?run=xyz", {"image": "busybox"}, 400)
    assert a.title.startswith("Invalid input for query parameters 'run'. Value: 'xyz'.")


def test_trap_17_query_and_body_are_one_set_of_arguments(gateway):
    caller = gateway.caller()
    uuid = caller.post("", {"image": "busybox", "command": ["sleep", "600"], "run": True}).json()["uuid"]
    caller.wait(uuid, "Running")
    a = caller.post("/%s/execute" % uuid, {"command": "echo body"}, 200)
    assert a.json()["output"] == "body\n"
    caller.post("/%s/stop" % uuid, {"timeout": 0})
    caller.wait(uuid, "Stopped")
    caller.delete(uuid, body={"stop": True})


@pytest.mark.parametrize("query", ["?image=busybox", "?name=xx", "?bogus=1"])
def test_the_query_of_a_create_takes_run_alone(gateway, query):
    assert "Additional properties are not allowed" in gateway.caller().post(query, {"image": "busybox"}, 400).title


@pytest.mark.parametrize("target, strict", [("/start", False), ("/pause", False), ("/stop?x=1", True), ("/kill?x=1", True), ("/execute?command=true&x=1", True)])
def test_unknown_keys_are_refused_where_zun_refuses_them(gateway, target, strict):
    uuid = gateway.caller().create()["uuid"]
    status = gateway.caller().ask("POST", "/v1/containers/%s%s%s" % (uuid, target, "" if "?" in target else "?x=1")).status
    assert status == (400 if strict else 202 if target == "/start" else 409)


# ---------------------------------------------------------------- actions of one container

def test_trap_01_logs_are_a_json_string(gateway):
    caller = gateway.caller()
    uuid = caller.create("sh", "-c", "echo out; echo err >&2; printf 'no newline'", run=True)["uuid"]
    caller.wait(uuid, "Stopped")
    a = caller.get("/%s/logs" % uuid)
    assert a.headers["content-type"] == "application/json"
    assert sorted(a.json().splitlines()) == ["err", "no newline", "out"]


def test_logs_can_be_cut_and_picked(gateway):
    caller = gateway.caller()
    uuid = caller.create("sh", "-c", "for i in 1 2 3; do echo o$i; echo e$i >&2; sleep 0.02; done", run=True)["uuid"]
    caller.wait(uuid, "Stopped")

    def logs(query):
        return caller.get("/%s/logs%s" % (uuid, query)).json()
    assert logs("?stdout=True&stderr=False").split() == ["o1", "o2", "o3"]
    assert logs("?stdout=0&stderr=1").split() == ["e1", "e2", "e3"]
    assert logs("?stdout=no&stderr=no") == ""
    assert len(logs("?tail=2").split()) == 2 and len(logs("?tail=all").split()) == 6 and len(logs("?tail=x").split()) == 6
    assert logs("?since=%d" % (time.time() + 100)) == "" and len(logs("?since=0").split()) == 6
    assert logs("?since=2000-01-01%2000:00:00,000").split() == logs("").split()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z [oe]\d$", line) for line in logs("?timestamps=yes").splitlines())
    assert caller.get("/%s/logs?since=None" % uuid, 400).title.startswith("Invalid input for query parameters 'since'")


def test_logs_that_are_no_text_are_shown_all_the_same(gateway):
    caller = gateway.caller()
    uuid = caller.create("sh", "-c", r"printf 'a\377b\000c\n'", run=True)["uuid"]
    caller.wait(uuid, "Stopped")
    assert caller.get("/%s/logs" % uuid).json() == "a\ufffdb\0c\n"


def test_of_a_long_log_the_end_is_given_and_said_so(gateway):
    caller = gateway.caller()
    uuid = caller.create("sh", "-c", "i=0; while [ $i -lt 60 ]; do head -c 100000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done; echo last", run=True)["uuid"]
    caller.wait(uuid, "Stopped", seconds=30)
    lines = caller.get("/%s/logs" % uuid).json().splitlines()
    assert lines[0].startswith("[berth: earlier lines are left out") and lines[-1] == "last"
    assert 30 < len(lines) < 60 and set(lines[2:-1]) == {"x" * 100000}


def test_trap_02_execute_answers_with_proxy_url(gateway):
    caller = gateway.caller()
    uuid = caller.running()
    a = caller.post("/%s/execute?command=%s" % (uuid, "sh+-c+%22echo+out%3B+echo+err+%3E%262%3B+exit+3%22"), status=200).json()
    assert a == {"output": "out\nerr\n", "exit_code": 3, "exec_id": None, "proxy_url": None}
    a = caller.post("/%s/execute?command=kill+-9+0" % uuid, status=200).json()
    assert a["exit_code"] in (0, 137)


def test_trap_21_execute_splits_as_a_shell_would(gateway):
    caller = gateway.caller()
    uuid = caller.running()
    a = caller.post("/%s/execute" % uuid, {"command": "\"printf\" \"%s|\" \"a b\" 'c\"d' e\\ f \"\""}, 200)
    assert a.json()["output"] == "a b|c\"d|e f||"
    assert "No closing quotation" in caller.post("/%s/execute" % uuid, {"command": "echo 'x"}, 400).title
    assert caller.post("/%s/execute" % uuid, {}, 400).title == "'command' is a required property"
    caller.post("/%s/execute" % uuid, {"command": "   "}, 400)


def test_a_program_that_is_not_there_is_127(gateway):
    uuid = gateway.caller().running()
    a = gateway.caller().post("/%s/execute?command=nosuch" % uuid, status=200).json()
    assert a["exit_code"] == 127 and "nosuch" in a["output"]


def test_execute_that_takes_too_long_is_a_conflict_and_is_killed(gateway):
    caller = gateway.caller()
    uuid = caller.running()
    began = time.monotonic()
    e = caller.post("/%s/execute" % uuid, {"command": "sh -c 'sleep 77 & sleep 78'"}, 409).error
    assert e["title"].startswith("Timeout on executing command: ") and time.monotonic() - began < 8 * SLOW
    eventually(lambda: not re.search("sleep 7[78]", caller.get("/%s/top" % uuid).body.decode()), "what it started is killed")


def test_execute_output_is_bounded(gateway):
    caller = gateway.caller()
    uuid = caller.running()
    a = caller.post("/%s/execute" % uuid, {"command": "head -c 3000000 /dev/zero"}, 200).json()
    assert a["exit_code"] == 0 and 1 << 20 <= len(a["output"]) < (1 << 20) + 100 and a["output"].endswith("is cut at 1048576 bytes]\n")


@pytest.mark.parametrize("query", ["&run=False", "&interactive=True", "&interactive=true&run=false"])
def test_sessions_are_not_there_yet(gateway, query):
    uuid = gateway.caller().running()
    assert gateway.caller().post("/%s/execute?command=sh%s" % (uuid, query), status=501).error["code"] == "container.not-implemented"


@pytest.mark.parametrize("query, code", [("", 137), ("?signal=None", 137), ("?signal=SIGUSR1", 42), ("?signal=usr1", 42), ("?signal=10", 42)])
def test_trap_18_none_is_the_default_signal(gateway, query, code):
    caller = gateway.caller()
    uuid = caller.running("sh", "-c", "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done")
    eventually(lambda: caller.get("/%s/logs" % uuid).json(), "it listens")
    caller.post("/%s/kill%s" % (uuid, query))
    caller.wait(uuid, "Stopped")
    assert caller.show(uuid)["status_detail"].startswith("Exited(%d) " % code)


def test_kill_with_a_signal_that_does_not_kill_leaves_it_running(gateway):
    caller = gateway.caller()
    uuid = caller.running("sh", "-c", "trap 'echo got it' USR1; echo ready; while :; do sleep 0.05; done")
    eventually(lambda: caller.get("/%s/logs" % uuid).json(), "it listens")
    caller.post("/%s/kill?signal=USR1" % uuid)
    eventually(lambda: caller.get("/%s/logs" % uuid).json() == "ready\ngot it\n", "the signal came")
    assert caller.show(uuid)["status"] == "Running"
    caller.post("/%s/kill?signal=SIGNOPE" % uuid, status=400)
    gateway.boss.delete(uuid, "?force=true")


def test_stop_honours_its_timeout(gateway):
    caller = gateway.caller()
    uuid = caller.running("guest", "ignore-term")
    began = time.monotonic()
    caller.post("/%s/stop?timeout=0" % uuid)
    caller.wait(uuid, "Stopped")
    assert time.monotonic() - began < 5 * SLOW
    caller.post("/%s/stop?timeout=x" % uuid, status=400)
    caller.post("/%s/stop?timeout=-1" % uuid, status=400)


def test_top_shows_ps_ef(gateway):
    caller = gateway.caller()
    uuid = caller.running("sleep", "1000000")
    a = caller.get("/%s/top?ps_args=None" % uuid)
    assert b"sleep 1000000" in a.body, "tempest looks for it in the raw text"
    t = a.json()
    assert t["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    row, = [p for p in t["Processes"] if p[7] == "sleep 1000000"]
    assert len(row) == 8 and all(isinstance(x, str) for x in row) and row[0] == "root" and row[1].isdigit()
    assert caller.get("/%s/top" % uuid).json()["Titles"] == t["Titles"]
    assert caller.get("/%s/top?ps_args=-ef" % uuid).json()["Processes"]
    assert [p[1] for p in caller.get("/%s/top?ps_args=%s" % (uuid, row[1])).json()["Processes"]] == [row[1]]
    assert caller.get("/%s/top?ps_args=1" % uuid).json()["Processes"] == []
    assert "'ps_args'" in caller.get("/%s/top?ps_args=aux" % uuid, 400).title


def test_stats_has_zuns_keys(gateway):
    caller = gateway.caller()
    uuid = caller.running(name="web")
    s = caller.get("/%s/stats" % uuid).json()
    assert list(s) == ["CONTAINER", "CPU %", "MEM USAGE(MiB)", "MEM LIMIT(MiB)", "MEM %", "BLOCK I/O(B)", "NET I/O(B)"]
    assert s["CONTAINER"] == "web" and s["NET I/O(B)"] == "0/0" and isinstance(s["CPU %"], float) and 0 <= s["CPU %"] < 50


def test_stats_tells_what_is_used_now(gateway):
    uuid = gateway.caller().running("sh", "-c", "while :; do :; done")
    eventually(lambda: gateway.caller().get("/%s/stats" % uuid).json()["CPU %"] > 10, "it uses a processor, or what others leave of one")
    gateway.boss.delete(uuid, "?force=true")


def test_actions_are_listed_newest_first(gateway):
    caller = gateway.caller("shop", "alice")
    uuid = caller.running()
    caller.post("/%s/stop?timeout=0" % uuid)
    caller.wait(uuid, "Stopped")
    caller.post("/%s/reboot" % uuid)
    caller.wait(uuid, "Running")
    actions = eventually(lambda: [a for a in [caller.get("/%s/container_actions" % uuid).json()["containerActions"]] if all(x["finish_time"] for x in a)],
                         "all have finished")[0]
    assert [a["action"] for a in actions] == ["reboot", "stop", "create"]
    for a in actions:
        assert set(a) == {"action", "container_uuid", "request_id", "user_id", "project_id", "start_time", "finish_time", "message"}
        assert (a["container_uuid"], a["user_id"], a["project_id"], a["message"]) == (uuid, "alice", "shop", None)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", a[k]) for k in ("start_time", "finish_time"))
    one = caller.get("/%s/container_actions/%s" % (uuid, actions[1]["request_id"])).json()
    assert {k: v for k, v in one.items() if k != "events"} == actions[1]
    assert [(e["event"], e["result"], e["traceback"]) for e in one["events"]] == [("compute__do_container_stop", "Success", None)]
    e = caller.get("/%s/container_actions/req-nosuch" % uuid, 404).error
    assert (e["code"], e["title"]) == ("container.resource-not-found", "The Action resource req-nosuch could not be found.")


def test_an_action_that_failed_says_why(gateway):
    caller = gateway.caller()
    uuid = caller.create("/no/such/program", run=True)["uuid"]
    caller.wait(uuid, "Error")
    action, = caller.get("/%s/container_actions" % uuid).json()["containerActions"]
    assert "/no/such/program" in action["message"]
    event, = gateway.admin.get("/%s/container_actions/%s" % (uuid, action["request_id"])).json()["events"]
    assert event["result"] == "Error" and "/no/such/program" in event["traceback"]


def test_the_history_outlives_the_container(gateway):
    caller = gateway.caller()
    uuid = caller.create()["uuid"]
    caller.delete(uuid)
    caller.gone(uuid)
    assert [a["action"] for a in caller.get("/%s/container_actions" % uuid).json()["containerActions"]] == ["delete", "create"]
    gateway.caller("rival", "bob").get("/%s/container_actions" % uuid, 404)


# ---------------------------------------------------------------- update, rename, delete

def test_patch_changes_the_name(gateway):
    caller = gateway.caller()
    uuid = caller.create(name="old")["uuid"]
    assert caller.patch("old", {"name": "new"}).json()["name"] == "new"
    assert caller.show("new")["uuid"] == uuid
    caller.get("/old", 404)
    assert caller.patch("new", {}).json()["name"] == "new"
    assert caller.patch("new", {"auto_heal": False, "name": None}).json()["name"] == "new"


@pytest.mark.parametrize("body", [{"labels": {}}, {"name": "a"}, {"memory": "x"}, {"cpu": 99}, {"auto_heal": True}, {"image": "x"}])
def test_patch_refuses_all_else(gateway, body):
    uuid = gateway.caller().create()["uuid"]
    assert "'%s'" % next(iter(body)) in gateway.caller().patch(uuid, body, 400).title


def test_a_patch_that_is_refused_changes_nothing_of_it(gateway, lacks):
    if not lacks("memory"):
        pytest.skip("this host has the controller")
    caller = gateway.caller()
    uuid = caller.create(name="old")["uuid"]
    caller.patch(uuid, {"name": "new", "memory": 64}, 400)
    assert caller.show(uuid)["name"] == "old"


def test_trap_05_rename_ends_with_1_13(gateway):
    caller = gateway.caller()
    uuid = caller.create(name="old")["uuid"]
    assert caller.at("1.13").post("/old/rename?name=new", status=200).json()["name"] == "new"
    e = caller.at("1.13").post("/new/rename?name=new", status=409).error
    assert e["title"] == "The new name for the container is the same as the old name."
    caller.post("/%s/rename?name=newer" % uuid, status=406)


def test_trap_04_a_delete_is_answered_before_it_is_done(gateway):
    caller = gateway.caller()
    uuid = caller.running("guest", "ignore-term")
    began = time.monotonic()
    a = caller.delete(uuid, "?stop=True&force=False&all_projects=False")
    assert a.body == b"" and "content-type" not in a.headers and time.monotonic() - began < 3 * SLOW
    now = caller.show(uuid)
    assert (now["status"], now["task_state"]) == ("Deleting", "container_deleting")
    gateway.boss.delete(uuid, "?force=true")
    caller.gone(uuid)


def test_until_1_9_a_delete_is_answered_when_it_is_done(gateway):
    caller = gateway.caller()
    uuid = caller.create()["uuid"]
    caller.at("1.9").delete(uuid)
    caller.get("/" + uuid, 404)


def test_delete_with_stop_lets_the_program_end_by_itself(gateway):
    caller = gateway.caller()
    uuid = caller.running("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    eventually(lambda: caller.get("/%s/logs" % uuid).json(), "it listens")
    caller.delete(uuid, "?stop=True")
    caller.gone(uuid, 5)


def test_force_is_for_admins_and_from_1_7_stop_from_1_12(gateway):
    caller = gateway.caller()
    uuid = caller.running()
    e = caller.delete(uuid, "?force=True", 403).error
    assert e["title"] == "Policy doesn't allow container:delete_force to be performed."
    assert caller.at("1.6").delete(uuid, "?force=True", 400).error["code"] == "container.invalid-param-in-version"
    assert caller.at("1.11").delete(uuid, "?stop=True", 400).error["code"] == "container.invalid-param-in-version"
    caller.delete(uuid, "?all_projects=True", 403)
    caller.delete(uuid, "?bogus=1", 400)
    gateway.admin.delete(uuid, "?force=True&all_projects=True")
    caller.gone(uuid)


def test_trap_20_a_delete_with_the_clients_headers(gateway):
    uuid = gateway.caller().create()["uuid"]
    gateway.caller().delete(uuid, "?force=False&stop=False&all_projects=False",
                            headers={"Content-Type": "application/octet-stream", "Accept": "*/*"})


def test_trap_25_the_owner_can_end_what_is_paused_or_restarts(gateway):
    caller = gateway.caller()
    for status in ("Paused", "Restarting"):
        uuid = in_status(caller, status)
        assert isinstance(caller.get("/%s/logs" % uuid).json(), str)
        caller.delete(uuid)
        caller.gone(uuid)


# ---------------------------------------------------------------- versions that change what is meant

def test_until_1_19_the_command_is_one_string(gateway):
    caller = gateway.caller()
    c = caller.at("1.19").post("", {"image": "busybox", "command": "sh -c 'echo a  b'"}).json()
    assert c["command"] == ["sh", "-c", "echo a  b"]
    caller.at("1.19").post("", {"image": "busybox", "command": ["a"]}, 400)
    caller.at("1.20").post("", {"image": "busybox", "command": "sleep 1"}, 400)
    caller.at("1.19").post("", {"image": "busybox", "command": "'open"}, 400)


def test_from_1_20_to_1_35_a_terminal_comes_with_stdin(gateway):
    caller = gateway.caller()
    assert caller.at("1.35").post("", {"image": "busybox", "interactive": True}).json()["tty"] is True
    assert caller.at("1.36").post("", {"image": "busybox", "interactive": True}).json()["tty"] is False


# ---------------------------------------------------------------- documents

def test_the_root_says_which_versions_there_are(gateway):
    d = gateway.caller().ask("GET", "/", status=200, headers={"X-Auth-Token": None}).json()
    version, = d["versions"]
    assert (version["id"], version["status"], version["min_version"], version["max_version"]) == ("v1", "CURRENT", "1.1", "1.40")
    assert version["links"] == [{"href": "http://127.0.0.1:9517/v1/", "rel": "self"}]
    assert d["default_version"] == version and d["name"] == "OpenStack Zun API"


@pytest.mark.parametrize("target", ["/v1", "/v1/"])
def test_v1_says_which_collections_there_are(gateway, target):
    d = gateway.caller().ask("GET", target, status=200, headers={"X-Auth-Token": None}).json()
    assert d["id"] == "v1" and d["media_types"] == [{"base": "application/json", "type": "application/vnd.openstack.zun.v1+json"}]
    assert d["containers"] == [{"href": "http://127.0.0.1:9517/v1/containers/", "rel": "self"},
                               {"href": "http://127.0.0.1:9517/containers/", "rel": "bookmark"}]
    assert {"services", "images", "networks", "hosts", "capsules", "availability_zones", "quotas", "quota_classes", "registries"} <= set(d)


def test_there_is_one_availability_zone(gateway):
    d = gateway.caller().ask("GET", "/v1/availability_zones", status=200).json()
    assert d == {"availability_zones": [{"availability_zone": "nova"}], "next": None}
