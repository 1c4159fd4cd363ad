"""Two projects on one berth, through HTTP: neither sees nor touches what is the other's, and an admin sees both."""

import pytest

from gateway import tables

pytestmark = pytest.mark.native

TOUCHES = [("POST", "/start"), ("POST", "/stop"), ("POST", "/reboot"), ("POST", "/pause"), ("POST", "/unpause"), ("POST", "/kill"),
           ("POST", "/execute?command=true"), ("GET", "/logs"), ("GET", "/top"), ("GET", "/stats"), ("GET", ""), ("DELETE", ""),
           ("DELETE", "?stop=True"), ("GET", "/container_actions"), ("PATCH", "")]


@pytest.fixture
def shop(gateway):
    return gateway.caller("shop", "alice")


@pytest.fixture
def rival(gateway):
    return gateway.caller("rival", "bob")


@pytest.mark.parametrize("by", ["uuid", "name", "beginning of the uuid"])
def test_nothing_of_another_project_can_be_touched(gateway, shop, rival, by):
    uuid = shop.running(name="web")
    ref = {"uuid": uuid, "name": "web", "beginning of the uuid": uuid[:12]}[by]
    for method, target in TOUCHES:
        a = rival.ask(method, "/v1/containers/" + ref + target, {"name": "mine"} if method == "PATCH" else None)
        assert a.status == 404 and a.title == "Container %s could not be found." % ref, (method, target, a)
    assert shop.show(uuid)["status"] == "Running" and shop.show(uuid)["name"] == "web"
    assert all(a["user_id"] == "alice" for a in shop.get("/%s/container_actions" % uuid).json()["containerActions"])


def test_each_lists_its_own(gateway, shop, rival):
    mine, theirs = shop.create(name="web")["uuid"], rival.create(name="web")["uuid"]
    assert [c["uuid"] for c in shop.get("").json()["containers"]] == [mine]
    assert [c["uuid"] for c in rival.get("").json()["containers"]] == [theirs]
    assert rival.get("?project_id=shop").json()["containers"] == []
    assert rival.get("?name=web").json()["containers"][0]["uuid"] == theirs


def test_the_same_name_in_two_projects_is_not_ambiguous(gateway, shop, rival):
    mine, theirs = shop.create(name="web")["uuid"], rival.create(name="web")["uuid"]
    assert shop.show("web")["uuid"] == mine and rival.show("web")["uuid"] == theirs
    shop.delete("web")
    shop.gone(mine)
    assert rival.show("web")["uuid"] == theirs


def test_all_projects_is_for_admins(gateway, shop, rival):
    mine, theirs = shop.create()["uuid"], rival.create()["uuid"]
    for caller in (shop, rival):
        e = caller.get("?all_projects=1", 403).error
        assert e["title"] == "Policy doesn't allow container:get_all_all_projects to be performed."
        assert caller.get("/%s?all_projects=1" % mine, 403).error["code"] == "container.policy-not-authorized"
        caller.get("/%s?all_projects=False" % (mine if caller is shop else theirs))
    assert {mine, theirs} <= {c["uuid"] for c in gateway.admin.get("?all_projects=True").json()["containers"]}
    assert {mine, theirs}.isdisjoint({c["uuid"] for c in gateway.admin.get("").json()["containers"]})
    assert [c["uuid"] for c in gateway.admin.get("?all_projects=True&project_id=rival").json()["containers"]] == [theirs]


def test_an_admin_reaches_every_project(gateway, shop):
    uuid = shop.running()
    assert gateway.admin.show(uuid)["project_id"] == "shop"
    gateway.admin.post("/%s/pause" % uuid)
    shop.wait(uuid, "Paused")
    gateway.admin.delete(uuid, "?force=True&all_projects=True")
    shop.gone(uuid)


def test_a_marker_of_another_project_is_not_found(gateway, shop, rival):
    uuid = shop.create()["uuid"]
    assert rival.get("?marker=" + uuid, 404).title == "Container %s could not be found." % uuid


def test_two_users_of_one_project_share_it(gateway, shop):
    uuid = shop.create()["uuid"]
    carol = gateway.caller("shop", "carol")
    assert carol.show(uuid)["user_id"] == "alice"
    carol.post("/%s/start" % uuid)
    shop.wait(uuid, "Running")
    assert [a["user_id"] for a in shop.get("/%s/container_actions" % uuid).json()["containerActions"]] == ["carol", "alice"]


def test_a_token_of_a_project_says_nothing_of_tokens(gateway):
    """What the tables offer has no way to tokens at all."""
    assert not [r for d in tables().values() for r in d["routes"] if "token" in r["path"] and not r["path"].startswith("/v3")]
