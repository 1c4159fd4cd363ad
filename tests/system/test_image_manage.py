"""Images that are here: names given, moved and taken, how they were made, what they hold; and that a store of images stays sound whenever
what changes it is killed."""

import json

import pytest

from host import eventually
from oci import Image, digest, layer

pytestmark = pytest.mark.native

NAME = "docker.io/library/%s:latest"


@pytest.fixture
def shelf(host, tmp_path):
    """Puts images there, and takes away what a test left of them."""
    before = {i["image_id"] for i in host.ask("image_list").get("images", [])}

    def put(name, *layers, config=None, **more):
        img = Image(name, [layer(entries) for entries in layers or ({name: name.encode()},)], config or {"Cmd": ["sh"]})
        if more:
            img = with_config(img, more)
        host.berth("image", "import", img.write_layout(str(tmp_path / digest(name.encode() + img.config)[7:19])))
        return img
    yield put
    host.remove_all()
    for image in host.ask("image_list").get("images", []):
        if image["image_id"] not in before:
            host.berth("image", "rm", "-f", image["image_id"])


def with_config(img, more):
    """The same image with more in its config: "history", "created" …"""
    new = Image.__new__(Image)
    new.name, new.layers = img.name, img.layers
    new.blobs = {d: b for d, b in img.blobs.items() if d not in (img.id, img.manifest["digest"])}
    manifest = json.loads(img.blobs[img.manifest["digest"]])
    new.config = json.dumps({**json.loads(img.config), **more}).encode()
    new.id = digest(new.config)
    manifest["config"] = new.blob("application/vnd.oci.image.config.v1+json", new.config)
    new.manifest = new.blob("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest).encode())
    return new


def names(host, image_id=None):
    """image id -> its names, or the names of one."""
    found = {i["image_id"]: sorted(i.get("names", [])) for i in host.ask("image_list").get("images", [])}
    return found.get(image_id) if image_id else found


# ------------------------------------------------------------------ tag

def test_a_tag_is_another_name_and_both_go_one_by_one(host, shelf):
    one = shelf("one")
    host.berth("tag", "one", "second:v2")
    host.berth("image", "tag", one.id[7:19], "reg.example:5000/a/b")
    assert names(host, one.id) == [NAME % "one", "docker.io/library/second:v2", "reg.example:5000/a/b:latest"]
    assert host.berth("image", "ls", "-q", "-f", "reference=second").text == ""
    assert host.berth("image", "ls", "-q", "-f", "reference=second:*").text == one.id
    host.refused("rmi", one.id[7:19], text="3 names .*second")
    host.berth("rmi", "one", "reg.example:5000/a/b")        # several at once, of one image
    assert names(host, one.id) == ["docker.io/library/second:v2"]
    host.restart()
    assert names(host, one.id) == ["docker.io/library/second:v2"]
    host.berth("rmi", "second:v2")
    assert names(host, one.id) is None


def test_a_name_that_is_given_to_another_image_leaves_the_first_dangling(host, shelf):
    old, new = shelf("web"), shelf("build")
    host.berth("run", "-d", "--name", "user", "--entrypoint", "/nope", "web", code=127)
    host.berth("create", "--name", "user", "web")
    host.berth("tag", "build", "web")
    assert names(host, new.id) == [NAME % "build", NAME % "web"] and names(host, old.id) == []
    lines = host.berth("images", "-f", "dangling=true").lines
    assert len(lines) == 2 and lines[1].split()[:2] == ["<none>", old.id[7:19]]
    assert host.inspect("user")["image_id"] == old.id
    host.refused("rmi", old.id[7:19], text="used by user")
    host.berth("rm", "user")
    host.berth("rmi", old.id[7:19])
    assert names(host, old.id) is None and names(host, new.id)


def test_what_is_no_image_or_no_name_is_refused(host, shelf):
    shelf("one")
    host.refused("tag", "nothing-here", "x", text="no image 'nothing-here'")
    host.refused("tag", "one", "UPPER", text="name", code=2)
    host.refused("tag", "one", "a@sha256:" + "0" * 64, text="digest", code=2)
    host.refused("tag", "one", text="missing", code=2)
    assert not [n for n in sum(names(host).values(), []) if "upper" in n.lower()]


def test_a_tag_is_an_action_and_an_event(host, shelf):
    one = shelf("one")
    host.berth("tag", "one", "two")
    host.berth("rmi", "two", "one")
    verbs = [(a["verb"], a["result"]) for a in host.ask("actions", {"newest_first": True, "limit": 3})["actions"]]
    assert verbs == [("remove", "ok"), ("remove", "ok"), ("tag", "ok")]
    events = host.berth("events", "--since", "1m", "--until", "0s", "-f", "kind=image", "--format", "{{.type}}", code=None)
    assert events.lines[-3:] == ["tag", "untag", "remove"], events
    assert names(host, one.id) is None


def test_many_tags_at_once_each_find_their_turn(host, shelf):
    one, two = shelf("one"), shelf("two")
    with host.client() as c:
        ids = [c.ask("image_tag", {"ref": ("one", "two")[i % 2], "name": "moving"}) for i in range(40)]
        assert all("error" not in c.answer(i)[0] for i in ids)
    assert names(host, two.id) == ["docker.io/library/moving:latest", NAME % "two"] and names(host, one.id) == [NAME % "one"]
    host.restart()
    assert names(host, two.id) == ["docker.io/library/moving:latest", NAME % "two"] and names(host, one.id) == [NAME % "one"]


# ------------------------------------------------------------------ what is in it

def test_history_has_the_steps_of_the_config_with_what_their_layers_weigh(host, shelf):
    steps = [{"created": "2026-01-02T03:04:05Z", "created_by": "ADD base /", "comment": "first"},
             {"created_by": "ENV A=\t1\n  &&  B=2", "empty_layer": True},
             {"created": "2026-01-02T03:04:06Z", "created_by": "RUN " + "x" * 100, "author": "somebody"}]
    img = shelf("steps", {"a": b"a" * 5000}, {"b": b"b" * 7000}, history=steps)
    got = host.ask("image_history", {"ref": "steps"})
    assert got["image_id"] == img.id and got["names"] == [NAME % "steps"]
    top, env, base = got["entries"]
    assert (top["size_bytes"], base["size_bytes"]) == (7000, 5000) and "layer" not in env and env["empty_layer"]
    assert top["author"] == "somebody" and base["comment"] == "first" and top["created_at"] - base["created_at"] == 10 ** 9
    assert top["diff_id"] == digest(img.layers[1]) and base["layer"] == base["diff_id"] == digest(img.layers[0])
    assert top["blob_bytes"] == len(img.blobs[top["digest"]])
    lines = host.berth("history", "steps").lines
    assert lines[0].split() == ["LAYER", "CREATED", "CREATED", "BY", "SIZE", "PACKED", "COMMENT"] and len(lines) == 4
    assert "ENV A= 1 && B=2" in lines[2] and "x…" in lines[1] and "6.8KiB" in lines[1]
    assert "x" * 100 in host.berth("history", "--no-trunc", "steps").out
    assert host.berth("image", "history", "-q", "steps").lines == [top["layer"], "<none>", base["layer"]]
    assert host.berth("image", "history", "--format", "{{.created_by}}", "steps").lines[-1] == "ADD base /"


@pytest.mark.parametrize("history, steps", [([], 2), ([{"created_by": "one for two"}], 2), ([{"created_by": str(i)} for i in range(4)], 4),
                                            ([{"empty_layer": True}] * 3, 5)])
def test_a_history_that_does_not_fit_the_layers_hides_none(host, shelf, history, steps):
    shelf("odd", {"a": b"a"}, {"b": b"b"}, history=history)
    got = host.ask("image_history", {"ref": "odd"})["entries"]
    assert len(got) == steps and [e["size_bytes"] for e in got if "layer" in e] == [1, 1]


def test_inspect_has_layers_blobs_sizes_and_users(host, shelf):
    img = shelf("full", {"a": b"a" * 3000}, {"b": b"b" * 4000}, config={"Cmd": ["/a"], "Labels": {"k": "v"}, "Env": ["A=1"]})
    host.berth("create", "--name", "one", "full")
    host.berth("create", "--name", "two", "full")
    got = host.berth("image", "inspect", "full").json()[0]
    assert got["manifest_digest"] == img.manifest["digest"] and got["image_id"] == img.id and got["size_bytes"] == 7000
    assert got["config"]["command"] == ["/a"] and got["config"]["labels"] == {"k": "v"}
    assert sorted(got["used_by"]) == sorted(host.inspect(n)["meta"]["uuid"] for n in ("one", "two"))
    blobs = json.loads(img.blobs[img.manifest["digest"]])["layers"]
    assert [(b["digest"], b["blob_bytes"], b["media_type"]) for b in got["layer_blobs"]] == [(b["digest"], b["size"], b["mediaType"]) for b in blobs]
    assert [(b["chain_id"], b["size_bytes"]) for b in got["layer_blobs"]] == list(zip(got["layers"], (3000, 4000)))
    assert [b["diff_id"] for b in got["layer_blobs"]] == [digest(d) for d in img.layers]


def test_ls_shows_digests_and_finds_older_and_newer_ones(host, shelf):
    a = shelf("a", created="2025-01-01T00:00:00Z")
    b = shelf("b", created="2025-01-02T00:00:00Z")
    c = shelf("c", created="2025-01-03T00:00:00Z")
    header, *lines = host.berth("image", "ls", "-a", "--digests", "-f", "reference=b").lines
    assert header.split()[:3] == ["NAME", "DIGEST", "ID"] and [x.split()[:3] for x in lines] == [[NAME % "b", b.manifest["digest"], b.id[7:19]]]
    assert host.berth("images", "-q", "-f", "before=b").lines == [a.id]
    assert c.id in host.berth("images", "-q", "-f", "since=b").lines and b.id not in host.berth("images", "-q", "-f", "since=b").lines
    host.refused("images", "-f", "since=nothing", text="no image 'nothing'")
    assert [i["image_id"] for i in host.berth("images", "--format", "json", "-f", "reference=c").json()] == [c.id]
