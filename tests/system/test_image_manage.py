"""Images that are here: names given, moved and taken, how they were made, what they hold; and that a store of images stays sound whenever
what changes it is killed."""

import json
import os
import re
import shutil
import time

import pytest

import conftest
from host import eventually
from oci import Image, digest, layer

pytestmark = pytest.mark.native

NAME = "docker.io/library/%s:latest"


@pytest.fixture(scope="module", autouse=True)
def bare():
    """What these tests count and verify is all that there is: not what the tests before have left of images."""
    if conftest.Current.host:
        conftest.Current.host.destroy()
        conftest.Current.host = None
    yield


@pytest.fixture
def shelf(host, tmp_path):
    """Puts images there, and takes away what a test left of them."""
    before = {i["image_id"] for i in host.ask("image_list").get("images", [])}

    def put(name, *layers, config=None, **more):
        img = Image(name, [layer(entries) for entries in layers or ({name: name.encode()},)], config or {"Cmd": ["sh"]})
        if more:
            img = with_config(img, more)
        folder = str(tmp_path / digest(name.encode() + img.config)[7:19])
        host.berth("image", "import", folder if os.path.exists(folder) else img.write_layout(folder))
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
    assert host.berth("image", "ls", "-q", "-f", "reference=second").text == one.id
    assert host.berth("image", "ls", "-q", "-f", "reference=second:v1").text == ""
    assert host.berth("image", "ls", "-q", "-f", "reference=second:*").text == one.id
    host.refused("rmi", one.id[7:19], text="3 names .*second")
    r = host.berth("rmi", "one", "reg.example:5000/a/b")    # several at once, of one image
    assert r.lines == ["Untagged: " + NAME % "one", "Untagged: reg.example:5000/a/b:latest"]
    assert names(host, one.id) == ["docker.io/library/second:v2"]
    host.restart()
    assert names(host, one.id) == ["docker.io/library/second:v2"]
    host.berth("tag", "second:v2", "third")
    r = host.berth("image", "rm", "-f", one.id)
    assert r.lines == ["Untagged: docker.io/library/second:v2", "Untagged: docker.io/library/third:latest", "Deleted: " + one.id]
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


def test_an_image_has_so_many_names_and_no_more(host, shelf):
    one = shelf("one")
    with host.client() as c:
        answers = [c.answer(i)[0] for i in [c.ask("image_tag", {"ref": "one", "name": "n:%d" % k}) for k in range(60)]]
        for k in range(60, 256):
            answers.append(c.answer(c.ask("image_tag", {"ref": "one", "name": "n:%d" % k}))[0])
    assert [k for k, a in enumerate(answers) if "error" in a] == [255] and answers[255]["error"]["code"] == "EXHAUSTED"
    assert len(names(host, one.id)) == 256


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


def test_ls_of_a_name_shows_the_names_that_fit_and_all_tags_of_a_repository(host, shelf):
    img = shelf("found")
    other = shelf("found-not")
    for name in ("found:2", "reg.example:5000/team/found:3", "elsewhere"):
        host.berth("tag", "found", name)
    def listed(*args):
        lines = [line.split() for line in host.berth("image", "ls", *args).lines[1:]]
        assert {line[1] for line in lines} <= {img.id[7:19]}
        return [line[0] for line in lines]
    here, second, far = NAME % "found", "docker.io/library/found:2", "reg.example:5000/team/found:3"
    assert listed("found") == listed("-f", "reference=found") == listed("-f", "name=found") == [here, second, far]
    assert listed("found:2") == listed("docker.io/library/found:2") == listed("index.docker.io/library/found:2") == [second]
    assert listed("docker.io/library/found") == listed("library/found") == [here, second] and listed("team/found") == listed("reg.example*") == [far]
    assert listed("-f", "reference=found:2", "-f", "reference=*:3") == [second, far] and listed("-f", "name=*:3", "found") == [far]
    assert listed("ound") == listed("5000/team/found") == listed("found:") == listed("-f", "name=elsewhere", "found:2") == []
    assert host.berth("images", "-q", "elsewhere").lines == [img.id] and other.id in host.berth("images", "-q", "found*").lines
    assert host.berth("images", "--format", "json", "found:2").json()[0]["names"] == [second]
    assert len(host.ask("image_inspect", {"ref": "found"})["images"][0]["names"]) == 4


# ------------------------------------------------------------------ prune

def stored(host):
    """What lies in the store: blobs and layers by name, and whatever is no blob and no layer."""
    return {kind: set(os.listdir(host.state + "/images/" + folder))
            for kind, folder in (("blobs", "blobs/sha256"), ("layers", "layers"), ("partial", "partial"), ("tmp", "tmp"))}


def needed(*images):
    """The blobs and layers of these, as stored() has them."""
    blobs, layers = set(), set()
    for img in images:
        chain = ""
        blobs |= {d[7:] for d in img.blobs}
        for data in img.layers:
            chain = digest((chain + " " + digest(data)).encode()) if chain else digest(data)
            layers.add(chain[7:])
    return blobs, layers


def test_prune_takes_what_has_no_name_and_no_container_and_says_how_much(host, shelf):
    old, used, new = shelf("old", {"big": os.urandom(300000)}), shelf("used"), shelf("new")
    host.berth("create", "--name", "user", "used")
    for name in ("old", "used"):
        host.berth("tag", "new", name)
    before = stored(host)
    r = host.berth("image", "prune", input="n\n", code=1)
    assert "no container was made from and that have no name. Go on? [y/N]" in r.err and names(host, old.id) == []
    r = host.berth("image", "prune", input="y\n")
    assert r.lines[0] == old.id and r.lines[1].startswith("Freed: ") and "KiB" in r.lines[1] and len(r.lines) == 2
    assert names(host, old.id) is None and names(host, used.id) == [] and len(names(host, new.id)) == 3
    blobs, layers = needed(old)
    assert before["blobs"] - stored(host)["blobs"] == blobs - needed(new, used)[0] and before["layers"] - stored(host)["layers"] == layers
    assert host.berth("image", "prune", "-f").lines == ["Freed: 0B"]
    action = host.ask("actions", {"newest_first": True, "limit": 2})["actions"][1]
    assert (action["verb"], action["result"], action["object_kind"]) == ("prune", "ok", "image")


def test_prune_all_takes_names_too_by_age_and_label(host, shelf):
    old = shelf("old", created="2020-01-01T00:00:00Z")
    kept = shelf("kept", created="2020-01-02T00:00:00Z", config={"Cmd": ["/x"], "Labels": {"keep": "yes"}})
    new = shelf("new", created="2025-06-01T00:00:00Z")
    host.refused("image", "prune", "-f", "--filter", "until=whenever", text="a time, or how long ago", code=2)
    host.refused("image", "prune", "-f", "--filter", "size=3", text="unknown filter 'size'", code=2)
    r = host.berth("image", "prune", "-af", "--filter", "until=2024-01-01T00:00:00Z", "--filter", "label!=keep", "--format", "json").json()
    assert r["removed"] == [NAME % "old", old.id] and r["freed_bytes"] > 0
    r = host.berth("image", "prune", "-af", "--filter", "label=keep").lines
    assert r[:2] == [NAME % "kept", kept.id] and names(host, new.id) == [NAME % "new"]


def test_prune_beside_an_import_does_not_wait_for_it(host, shelf, tmp_path):
    one = shelf("one")
    host.berth("tag", "busybox", "one")
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    hung = host.popen("image", "import", fifo)
    with open(fifo, "wb", buffering=0) as f:
        f.write(b"x" * 10)
        eventually(lambda: os.listdir(host.cgroup_dir + "/jobs"), "the import runs")
        r = host.berth("image", "prune", "-f")
        assert r.lines[0] == one.id and "when the pulls, imports and verifications" in r.lines[1]
        assert needed(one)[1] <= stored(host)["layers"]
    hung.communicate()
    eventually(lambda: not needed(one)[1] & stored(host)["layers"], "the layer is swept")


# ------------------------------------------------------------------ verify

def layer_dir(host, img, at=0):
    return "%s/images/layers/%s" % (host.state, host.ask("image_inspect", {"ref": img.id})["images"][0]["layers"][at][7:])


def blob_path(host, name):
    return "%s/images/blobs/sha256/%s" % (host.state, name[7:])


def same_times(path, change):
    st = os.lstat(path)
    change(path)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns), follow_symlinks=False)


def overwrite(path, at=0, data=b"X"):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


TREE = {"d": None, "d/f": b"content" * 1000, "d/g": ("file", b"other", 0o4755, 7), "d/link": ("link", "f"), "d/hard": ("hard", "d/f"), "e": b""}

DAMAGES = {
    "a bit of a file": (lambda d: same_times(d + "/d/f", overwrite), r"d/(f|hard): has another content, in its bytes 0 to"),
    "a file cut": (lambda d: same_times(d + "/d/f", lambda p: os.truncate(p, 5)), r"d/f: has 5 bytes, should have 7000"),
    "a file gone": (lambda d: os.unlink(d + "/e"), r"e: is missing"),
    "a folder gone": (lambda d: shutil.rmtree(d + "/d"), r"d: is missing"),
    "one too many": (lambda d: open(d + "/d/new", "w").close(), r"d/new: should not be there"),
    "a mode": (lambda d: os.chmod(d + "/d/g", 0o755), r"d/g: has mode 0755, should have 4755"),
    "an owner": (lambda d: os.lchown(d + "/d/f", 1, 2), r"d/f: belongs to 1:2, should to 0:0"),
    "a time": (lambda d: os.utime(d + "/e", (5, 5)), r"e: was changed at 5\.0+, should be at 0"),
    "a target": (lambda d: same_times(d + "/d", lambda p: (os.unlink(p + "/link"), os.symlink("g", p + "/link"))), r"d/link: "),
    "an attribute": (lambda d: os.setxattr(d + "/e", "user.x", b"1"), r"e: has 1 extended attributes, should have 0"),
    "a hard link": (lambda d: same_times(d + "/d", lambda p: (os.rename(p + "/hard", p + "/x"), shutil.copy2(p + "/x", p + "/hard"), os.unlink(p + "/x"))),
                    r"d/f: has 1 links, should have 2"),
    "the kind of one": (lambda d: same_times(d, lambda p: (os.unlink(p + "/e"), os.mkdir(p + "/e"))), r"e: is a folder, should be a file"),
    "all of it": (lambda d: shutil.rmtree(d), r"layer sha256:\w+ \(of [\w./]*tree:latest\): is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_what_is_damaged_in_a_layer(host, shelf, damage):
    img = shelf("tree", TREE)
    assert host.berth("image", "verify", "tree").text.startswith("sound: 1 images, 3 blobs")
    do, text = DAMAGES[damage]
    layer = layer_dir(host, img)
    do(layer)
    r = host.berth("image", "verify", "tree", code=1)
    assert re.search(text, r.out) and "NOT SOUND" in r.lines[-1] and "once more" in r.err, r
    assert all("(of " + NAME % "tree" in line for line in r.lines[:-1])
    shelf("tree", TREE)         # which is how it is repaired
    host.berth("image", "verify", "-q", "tree")
    eventually(lambda: os.listdir(host.state + "/images/damaged") == [], "nothing is left of it", seconds=20)
    host.berth("image", "rm", "tree")
    eventually(lambda: not os.path.exists(blob_path(host, img.id)) and not os.path.exists(layer), "swept: what is younger than a second by the later sweep")


def test_a_layer_is_repaired_below_containers_that_run_on_it(host, tmp_path):
    """They go on with the old one until they are started anew; whoever is made from now on has the new one."""
    img, name, folder = conftest.busybox_image("mended:1", more=[layer({"f": b"as it was\n", "g": b"g"})]), host.name(), str(tmp_path / "mended")
    img.write_layout(folder)
    host.berth("image", "import", folder)
    host.berth("run", "-d", "--name", name, "mended:1", "sleep", "1000")
    of = layer_dir(host, img, 1)
    same_times(of + "/f", lambda p: overwrite(p, 0, b"IS"))
    os.unlink(of + "/g")
    host.berth("run", "--rm", "mended:1", "true")       # and what stands by for others of it
    host.settled()
    host.berth("image", "verify", "mended:1", code=1)
    r = host.berth("image", "import", folder)
    assert "what was here was damaged, and is replaced" in r.err
    host.berth("image", "verify", "mended:1")
    assert host.berth("run", "--rm", "mended:1", "cat", "/f", "/g").out == "as it was\ng"
    assert host.berth("exec", name, "cat", "/f").out == "IS it was\n", "its files are where they were"
    host.berth("image", "prune", "-f")
    assert host.berth("exec", name, "cat", "/f").out == "IS it was\n"
    host.berth("stop", "-t", "0", name)
    host.berth("start", name)
    assert host.berth("exec", name, "cat", "/f", "/g").out == "as it was\ng"
    host.berth("rm", "-f", name)
    host.berth("rmi", "mended:1")
    eventually(lambda: host.berth("image", "prune", "-f") and os.listdir(host.state + "/images/damaged") == [], "the old one goes with its last user", seconds=20, pause=0.5)


def test_a_blob_is_brought_anew_when_it_is_known_to_be_damaged_and_at_once_when_that_is_easily_seen(host, shelf):
    big = {"base": os.urandom(3 << 20)}
    img = shelf("one", big)
    large = json.loads(img.blobs[img.manifest["digest"]])["layers"][0]["digest"]
    for damaged, harm, seen in ((large, lambda p: overwrite(p, 1000), False), (large, lambda p: os.truncate(p, 1000), True),
                                (img.id, lambda p: overwrite(p, 3), True), (img.manifest["digest"], lambda p: os.unlink(p), True)):
        harm(blob_path(host, damaged))
        if not seen:
            host.berth("image", "verify", "one", code=1)
        shelf("one", big)
        host.berth("image", "verify", "one")
        assert os.listdir(host.state + "/images/damaged") == []


def test_verify_takes_whiteouts_for_sound(host, shelf):
    shelf("erased", {"a": b"x", "d/b": b"y"}, {".wh.a": b"", "d/.wh..wh..opq": b""})
    time.sleep(0.01)    # unpacked again, they are newer
    host.berth("image", "verify", "erased")


def test_verify_finds_what_ails_blobs_and_who_needs_them(host, shelf):
    base = {"base": os.urandom(5000)}
    one, two, sound = shelf("one", base, {"1": b"1"}), shelf("two", base, {"2": b"2"}), shelf("sound")
    host.berth("image", "verify")
    shared = json.loads(one.blobs[one.manifest["digest"]])["layers"][0]["digest"]
    overwrite(blob_path(host, shared), 100)
    os.truncate(blob_path(host, two.id), 10)
    got = host.berth("image", "verify", "--format", "json", code=1).json()
    faults = {f["object"]: f for f in got["faults"]}
    assert set(faults) == {shared, two.id} and got["total_faults"] == 2
    assert faults[shared]["images"] == [NAME % "one", NAME % "two"] and "its digest is sha256:" in faults[shared]["text"]
    assert faults[two.id]["images"] == [NAME % "two"] and faults[two.id]["text"].startswith("has 10 bytes, should have ")
    host.berth("image", "verify", "sound")
    os.unlink(blob_path(host, one.manifest["digest"]))
    assert re.search(r"blob %s \(of .*one:latest\): is missing" % one.manifest["digest"], host.berth("image", "verify", "one", code=1).out)
    assert names(host, sound.id)
    for name in ("one", "two"):         # damaged as they are they can be removed, and are whole when they come again
        host.berth("rmi", name)
    eventually(lambda: not os.path.exists(blob_path(host, shared)), "swept")
    shelf("one", base, {"1": b"1"})
    host.berth("image", "verify", "-q")


def test_verify_looks_at_blobs_that_nobody_needs_and_at_layers_of_containers_alone(host, shelf):
    img = shelf("gone", {"f": b"f"})
    host.berth("create", "--name", "user", "gone")
    host.berth("image", "rm", "-f", "gone")
    stray = b"not what its name says"
    with open(blob_path(host, "sha256:" + "ab" * 32), "wb") as f:
        f.write(stray)
    open(host.state + "/images/blobs/sha256/stray", "w").close()
    r = host.berth("image", "verify", code=1)
    assert re.search(r"blob sha256:abab\w+: is damaged: its digest is %s" % digest(stray), r.out) and "file stray: is no blob's name" in r.out
    os.unlink(host.state + "/images/blobs/sha256/stray")
    os.unlink(blob_path(host, "sha256:" + "ab" * 32))
    host.berth("image", "verify")
    shutil.rmtree(host.state + "/images/layers/" + needed(img)[1].pop())
    assert re.search(r"layer sha256:\w+ \(of sha256:\w+\): is missing", host.berth("image", "verify", code=1).out)


def test_a_quick_verify_only_looks_for_layers(host, shelf):
    img = shelf("tree", TREE)
    os.unlink(layer_dir(host, img) + "/e")
    got = host.berth("image", "verify", "--quick", "tree", "--format", "json").json()
    assert (got["layers"], got.get("layers_compared", 0), got["blobs"]) == (1, 0, 3) and not got.get("faults")
    host.berth("image", "verify", "tree", code=1)


def test_a_verify_whose_asker_leaves_ends_and_leaves_nothing(host, shelf):
    shelf("many", {"f%d" % i: os.urandom(40000) for i in range(400)})
    with host.client() as c:
        c.ask("image_verify", {"refs": ["many"]})
        eventually(lambda: [n for n in os.listdir(host.state + "/images/tmp") if "verify" in n], "it compares")
    eventually(lambda: not os.listdir(host.cgroup_dir + "/jobs") or not [
        d for d in os.listdir(host.cgroup_dir + "/jobs") if os.path.isdir(host.cgroup_dir + "/jobs/" + d)], "it has ended")
    eventually(lambda: not os.listdir(host.state + "/images/tmp"), "what it unpacked is swept")
    host.berth("image", "verify", "-q", "many")


def test_what_is_pruned_right_after_a_verify_is_freed_at_once(host, shelf):
    one = shelf("one")
    host.berth("tag", "busybox", "one")
    with host.client() as c:
        assert not c.request("image_verify")[0].get("faults")
        pruned = c.request("image_prune")[0]
    assert pruned["removed"] == [one.id] and pruned["freed_bytes"] > 0


# ------------------------------------------------------------------ disk usage

def test_disk_usage_counts_what_is_shared_once_and_what_could_go(host, shelf):
    base = {"base": os.urandom(400000)}
    one, two = shelf("one", base, {"1": os.urandom(100000)}), shelf("two", base, {"2": os.urandom(200000)})
    name = host.detached("-v", "used:/data", "--", "sh", "-c", "dd if=/dev/zero of=/big bs=1k count=300; dd if=/dev/zero of=/data/v bs=1k count=200; sync; echo done; sleep 1000")
    host.berth("volume", "create", "unused")
    host.berth("create", "--name", "idle", "one")
    host.wait_log(name, "done")
    with open(host.state + "/images/partial/" + "cd" * 32, "wb") as f:
        f.write(b"p" * 50000)
    got = host.ask("disk_usage")
    kinds = {k["kind"]: k for k in got["kinds"]}
    image = {i["names"][0]: i for i in got["images"] if "names" in i}
    assert image[NAME % "one"]["containers"] == 1 and image[NAME % "two"].get("containers", 0) == 0
    shared = image[NAME % "one"]["shared_bytes"]
    assert shared == image[NAME % "two"]["shared_bytes"] and 800000 <= shared < 850000     # unpacked, and as a blob
    assert 1000000 <= image[NAME % "one"]["size_bytes"] < 1060000 and 1200000 <= image[NAME % "two"]["size_bytes"] < 1260000
    total = sum(i["size_bytes"] for i in got["images"])
    assert kinds["images"]["size_bytes"] == total - shared and kinds["images"]["active"] == 2
    assert kinds["images"]["reclaimable_bytes"] == image[NAME % "two"]["size_bytes"] - shared
    c = {x["meta"]["name"]: x for x in got["containers"]}
    assert 300 * 1024 <= c[name]["size_bytes"] < 330 * 1024 and c[name]["running"] and not c["idle"].get("running")
    assert kinds["containers"]["reclaimable_bytes"] == c["idle"]["size_bytes"] + c["idle"]["log_bytes"]
    v = {x["meta"]["name"]: x for x in got["volumes"]}
    assert 200 * 1024 <= v["used"]["size_bytes"] < 220 * 1024 and v["used"]["containers"] == 1 and v["unused"].get("containers", 0) == 0
    assert kinds["partial pulls"]["count"] == 1 and kinds["partial pulls"]["reclaimable_bytes"] == kinds["partial pulls"]["size_bytes"] >= 49152
    lines = host.berth("system", "df").lines
    assert lines[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"] and [x.split()[0] for x in lines[1:]] == [
        "images", "containers", "volumes", "partial"]
    verbose = host.berth("system", "df", "-v").out
    for word in ("UNIQUE", "idle", "unused", "cdcdcdcdcdcd"):
        assert word in verbose
    freed = host.berth("image", "prune", "-af", "--format", "json").json()
    assert freed["removed"] == [NAME % "two", two.id] and not stored(host)["partial"]
    want = kinds["images"]["reclaimable_bytes"] + kinds["partial pulls"]["size_bytes"]
    assert abs(freed["freed_bytes"] - want) <= 16384 and names(host, one.id)
