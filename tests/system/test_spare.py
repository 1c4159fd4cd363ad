"""Shims made ahead: a start takes one, whatever dies leaves nothing of them, and they make no container other than it would be."""

import os
import shutil
import signal

import pytest

from conftest import busybox_image, host_new, private_host
from host import DIR, eventually, processes
from oci import layer


def ready(host, *flags, image="busybox"):
    """Starts a container, of whose like there are spares then; uuid -> pid of them."""
    # One that is not ready would not be taken, and none would come in its place.
    eventually(lambda: host.ask("info").get("spare_shims", 0) == len(host.spares()), "none is half made")
    before = set(host.spares())         # of another kind, perhaps: one that was made after this start is awaited
    host.berth("run", *(flags or ["--rm"]), image, "true")

    def there():
        spares = host.spares()
        return len(spares) == 4 and host.ask("info").get("spare_shims") == 4 and set(spares) - before and spares
    return eventually(there, lambda: "four spare shims: %r" % host.spares())


def test_a_start_takes_a_spare_and_another_takes_its_place(host):
    spares = ready(host)
    name = host.name()
    tool = host.popen("run", "--rm", "--name", name, "busybox", "sleep", "600")
    eventually(lambda: any(c["meta"]["name"] == name for c in host.list()), "it is there")
    host.wait_state(name, "running")
    box = host.inspect(name)
    assert spares[box["meta"]["uuid"]] == box["status"]["shim_pid"]
    assert host.berth("exec", name, "hostname").text == box["meta"]["uuid"].replace("-", "")[:12]
    assert box["meta"]["uuid"] not in ready(host)
    assert host.ask("info")["shims"] == 1 and host.ask("info")["spare_shims"] == 4
    host.berth("rm", "-f", name)
    tool.communicate(timeout=30)


def test_all_starts_at_once_find_a_shim(host):
    ready(host)
    tools = [host.popen("run", "--rm", "busybox", "echo", str(i)) for i in range(12)]
    assert [p.communicate(timeout=60)[0].decode().strip() for p in tools] == [str(i) for i in range(12)]


@pytest.mark.native
def test_spares_die_with_berthd_and_leave_nothing(host):
    spares = ready(host)
    host.restart()
    eventually(lambda: not set(spares.values()) & {p for p, v in processes().items() if v[0] != "Z"}, "the old ones are gone")
    assert not set(spares) & set(ready(host))
    eventually(lambda: not set(spares) & set(os.listdir(host.state + "/containers")), "their folders are swept")
    host.assert_clean(trash=False)


@pytest.mark.native
def test_groups_that_were_killed_as_a_whole_are_used_again_and_kill_nobody(tmp_path):
    with private_host() as host:
        ready(host)
        with open(host.cgroup_dir + "/cgroup.kill", "w") as f:      # while it runs: what is born in them may be killed from now on
            f.write("1")
        eventually(lambda: host.ask("info").get("spare_shims", 0) == 0, "the spares are dead")
        for _ in range(3):
            host.berth("run", "--rm", "busybox", "true", code=None)
            for _ in range(50):
                host.ask("info")
        assert host.log().count("a spare shim ended before") < 20
        host.kill()
        with open(host.cgroup_dir + "/cgroup.kill", "w") as f:
            f.write("1")
        host.start()
        assert len(ready(host)) == 4


@pytest.mark.native
def test_a_spare_that_dies_is_replaced_and_leaves_nothing(host):
    spares = ready(host)
    for pid in spares.values():
        os.kill(pid, signal.SIGKILL)
    # One that dies while a start has it fails that start, as every shim does.
    eventually(lambda: not set(spares.values()) & set(processes()), "they are dead")
    assert host.run_("echo", "well").text == "well"
    assert not set(spares) & set(ready(host))
    for uuid in spares:
        eventually(lambda: not os.path.exists("%s/containers/%s" % (host.state, uuid)), "its folder is gone")
        eventually(lambda: not os.path.exists("%s/shared/%s" % (host.cgroup_dir, uuid)), "its groups are gone")
        assert not os.path.exists("%s/shims/%s" % (host.run, uuid))


@pytest.mark.native
def test_an_orderly_end_takes_the_spares_along():
    host = host_new()
    try:
        spares = ready(host)
        host.kill(signal.SIGTERM)
        eventually(lambda: not set(spares.values()) & set(processes()), "pid 1 has reaped them")
        assert not os.listdir(host.state + "/containers") and not os.listdir(host.run + "/shims")
        assert not [d for d in os.listdir(host.cgroup_dir + "/shared") if d in spares]
    finally:
        host.destroy()


@pytest.mark.native
def test_an_upgrade_leaves_no_spare_of_the_old_behind(host):
    spares = ready(host)
    host.berth("upgrade")
    assert not set(spares) & set(ready(host))
    eventually(lambda: not [p for p, v in processes().items() if v[0] == "Z" and v[1:] == (host.daemon.pid, "berth-shim")], "all that ended are reaped")
    host.fds_at_start = None


@pytest.mark.native
def test_a_spare_is_of_the_image_that_was_started_last(host):
    folder = os.path.join(DIR, "state", "other-layout")
    busybox_image("other", more=()).write_layout(folder)
    host.berth("image", "import", folder)
    try:
        for image in ("other", "busybox", "other", "busybox"):
            before = set(ready(host))
            assert host.berth("run", "--rm", image, "echo", image).text == image
            assert host.berth("run", image, "echo", image).text == image
            eventually(lambda: set(host.spares()) - before, "one is of the other kind")
    finally:
        host.remove_all()
        host.berth("image", "rm", "other")
        shutil.rmtree(folder)


@pytest.mark.native
def test_layers_that_were_imported_anew_are_not_those_of_the_spare():
    """The spare holds an overlay of folders that are gone; its upper layer is mounted once more, over the new ones."""
    folder = os.path.join(DIR, "state", "busybox-layout")
    with private_host() as host:
        ready(host)
        host.berth("image", "rm", "busybox")
        eventually(lambda: not os.listdir(host.state + "/images/layers"), "the layers are gone")
        host.berth("image", "import", folder)
        for _ in range(5):
            assert host.run_("echo", "well").text == "well"


@pytest.mark.native
def test_only_a_container_that_goes_with_its_end_is_not_synced(host):
    name = host.detached("sleep", "600")

    def root(*run):
        return next(l for l in host.berth(*run, "cat", "/proc/mounts").lines if l.split()[1] == "/")
    for _ in range(3):
        assert "volatile" in root("run", "--rm", "busybox").split()[3]
    assert "volatile" not in root("exec", name).split()[3]
    host.berth("restart", "-t", "0", name)
    assert "volatile" not in root("exec", name).split()[3]


def test_other_namespaces_than_the_spares_are_the_plans(host):
    ready(host)
    for _ in range(3):
        net = host.run_("--network", "host", "--", "readlink", "/proc/self/ns/net").text
        assert net == os.readlink("/proc/self/ns/net")
        assert host.run_("readlink", "/proc/self/ns/net").text != net
        assert "LOOPBACK,UP" in host.run_("ip", "link").text


def standing_by(host, spares):
    """uuid -> pid of the process in the spare's group that has begun a launch."""
    found = {}
    for uuid in spares:
        with open("%s/shared/%s/%s.1/main/cgroup.procs" % (host.cgroup_dir, uuid, uuid)) as f:
            found.update({uuid: int(pid) for pid in f.read().split()})
    return found


def test_a_start_goes_on_with_the_process_that_stands_by():
    with private_host() as host:        # where nothing else was started that spares are made after
        began = standing_by(host, ready(host, "--rm"))
        assert len(began) == 4
        box = host.inspect(host.detached("--rm", "--user", "7:8", "-e", "A=b", "--hostname", "other", "--", "sleep", "600"))
        assert began[box["meta"]["uuid"]] == box["status"]["pid"]
        with open("/proc/%d/status" % box["status"]["pid"]) as f:
            assert "Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\n" in f.read()
        assert host.berth("exec", box["meta"]["uuid"], "sh", "-c", "hostname; cat /etc/hostname; grep 127.0.1.1 /etc/hosts").lines == ["other", "other", "127.0.1.1\tother"]
        host.berth("kill", box["meta"]["uuid"])


ALONE = ["unshare", "--net"]        # two berth-nets in one network namespace would fight for the table


def network(host, name, number):
    """Its gateways are .1 and ::1."""
    host.berth("network", "create", "--subnet", "10.94.%d.0/24" % number, "--subnet", "fd00:94:%d::/64" % number, name)


FILES = ("sh", "-c", "grep -v '^# kept' /etc/hosts; echo; grep -v '^# kept' /etc/resolv.conf; cat /etc/hostname; hostname; exec sleep 600")


def files_of(host, began, *flags, image="busybox"):
    """Of a container that went on with a process that stood by: addresses, names, servers and the two host names, as it reads them."""
    name = host.name()
    host.berth("run", "-d", "--rm", "--name", name, *flags, image, *FILES)
    box = host.inspect(name)
    assert began[box["meta"]["uuid"]] == box["status"]["pid"]
    out = eventually(lambda: (lambda l: l if len(l) > 2 and l[-1] == l[-2] else None)(host.berth("logs", name).lines), "its files")
    end = out.index("")
    names = [l.split() for l in out[:end]]
    host.berth("kill", name)
    eventually(lambda: not any(c["meta"]["name"] == name for c in host.list()), "it is gone")
    own = {a for n in box.get("networks", []) for a in n["addresses"]} or {"127.0.1.1"}
    assert {l[0] for l in names if l[1] == out[-1]} == own
    assert [l[0] for l in names if l[1] == "localhost"] == ["127.0.0.1", "::1"] and len(names) == 6 + len(own)
    assert out[-1] == box["meta"]["uuid"].replace("-", "")[:12]
    return [l.split()[1] for l in out[end:] if l.startswith("nameserver")]


def test_a_network_is_no_reason_not_to_go_on_with_the_process_that_stands_by():
    with private_host(before=ALONE) as host:
        network(host, "one", 1)
        network(host, "two", 2)
        for made_after in ((), ("--network", "one")):
            ready(host, "--rm", *made_after)
            for flags, servers in (((), []), (("--network", "one"), ["10.94.1.1"]), (("--network", "two"), ["10.94.2.1"]), ((), [])):
                began = standing_by(host, eventually(lambda: (lambda s: s if len(s) == host.ask("info").get("spare_shims") == 4 else None)(host.spares()), "four"))
                said = files_of(host, began, *flags)
                assert [s for s in said if ":" not in s] == servers, said


@pytest.mark.native
@pytest.mark.parametrize("flags", [(), ("--read-only",)])
def test_who_stands_by_writes_into_no_file_of_the_image(flags):
    folder = os.path.join(DIR, "state", "links-layout")
    more = layer({"etc": None, "etc/hosts": ("link", "../data/hosts"), "etc/resolv.conf": ("link", "/run/none/stub"), "data": None, "data/hosts": b"the image's\n"})
    busybox_image("links", more=(more,)).write_layout(folder)
    flags += ("--network", "default")
    with private_host(before=ALONE) as host:
        host.berth("image", "import", folder)
        files_of(host, standing_by(host, ready(host, "--rm", *flags, image="links")), *flags, image="links")
        name = host.name()
        host.berth("run", "--name", name, *flags, "links", "grep", "the image", "/data/hosts", code=1)      # where /etc/hosts leads ours is bound
        eventually(lambda: host.berth("cp", name + ":/data/hosts", folder + "/hosts", code=None).code == 0, "its mounts are gone")
        with open(folder + "/hosts") as f:
            assert f.read() == "the image's\n"
        host.berth("rm", name)
    shutil.rmtree(folder)


@pytest.mark.parametrize("flags, look, says", [
    (("--ulimit", "nofile=64"), "ulimit -n", "64"),
    (("--read-only",), "touch /x 2>&1; :", "touch: /x: Read-only file system"), (("--shm-size", "1m"), "df /dev/shm | awk 'NR == 2 { print $2 }'", "1024")])
def test_a_start_that_wants_it_otherwise_makes_its_own_process(flags, look, says):
    with private_host() as host:
        began = standing_by(host, ready(host, "--rm"))
        box = host.inspect(host.detached("--rm", *flags, "--", "sh", "-c", look + "; sleep 600"))
        assert box["meta"]["uuid"] in began and began[box["meta"]["uuid"]] != box["status"]["pid"]
        eventually(lambda: began[box["meta"]["uuid"]] not in processes(), "the one that stood by has ended")
        eventually(lambda: host.berth("logs", box["meta"]["uuid"]).text == says, "it is as it was asked for")
        host.berth("kill", box["meta"]["uuid"])


@pytest.mark.native
def test_who_cannot_go_on_with_it_leaves_it_to_others():
    with private_host() as host:
        ready(host, "--rm")
        spares = ready(host, "--rm", "-v", "/tmp:/mnt")     # took one in which somebody stood by; the next one is after this start
        idle = set(spares) - set(standing_by(host, spares))
        assert len(idle) == 1
        box = host.inspect(host.detached("--rm", "-v", "/tmp:/mnt", "--", "sleep", "600"))
        assert {box["meta"]["uuid"]} == idle
        host.berth("kill", box["meta"]["uuid"])


@pytest.mark.native
def test_one_that_stood_by_and_died_is_made_anew(host):
    began = standing_by(host, ready(host, "--rm"))
    for pid in began.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not set(began.values()) & set(processes()), "they are dead and reaped")
    for _ in range(4):
        assert host.run_("echo", "well").text == "well"


@pytest.mark.parametrize("flags", [(), ("--network", "default")])
def test_what_a_spare_has_made_is_what_a_launch_would_make(host, flags):
    """/dev, /sys and the small files: the same with a spare and without one, and with a flag that a spare knows nothing of."""
    look = ("sh", "-c", "cd /dev; ls -ln . pts shm | sed 's/ [A-Z][a-z][a-z] .* / /'; sed 's/^[^ ]* \\([^ ]*\\) \\([^ ]*\\) .*/\\1 \\2/' /proc/mounts | sort; "
            "grep -v -e $(hostname) -e '^# kept' /etc/hosts; cat /etc/resolv.conf; df /etc/hosts /etc/hostname | awk '{ print $2, $6 }'; ls /sys /sys/class/net; stat -c '%a %u %g' / /dev /dev/shm /etc/hosts; cat /sys/firmware/* 2>&1 | head -1; grep -E 'id|Cap|Sec|NoNew|Groups|SigB|SigI|SigC' /proc/1/status; ls /proc/1/fd; "
            "cat /proc/1/oom_score_adj /proc/1/limits /proc/1/cgroup /proc/sys/net/ipv4/ip_unprivileged_port_start; readlink /proc/1/cwd; pwd; env | grep -v HOSTNAME")
    ready(host)
    with_spare = host.run_(*flags, "--", *look).out
    os.kill(host.daemon.pid, signal.SIGSTOP)    # they are asked for at once, and there are no more than four
    tools = [host.popen("run", "--rm", *flags, "busybox", *look) for _ in range(8)]
    os.kill(host.daemon.pid, signal.SIGCONT)
    for p in tools:
        out = p.communicate(timeout=60)[0].decode()
        assert out.splitlines() == with_spare.splitlines()
    assert "65536" in host.run_("df", "/dev/shm").text
    for _ in range(2):
        assert "1024" in host.run_("--shm-size", "1m", "--", "df", "/dev/shm").text


@pytest.mark.native
def test_what_berthd_starts_begins_with_few_descriptors_of_its_many(host):
    """A table of all would be copied, and closed one by one when it executes."""
    clients = [host.client() for _ in range(150)]
    try:
        host.berth("pod", "create", "few")
        shim = host.status(host.detached("--pod", "few", "--", "sleep", "1000"))["shim_pid"]        # it takes no spare: made now
        with open("/proc/%d/status" % shim) as f:
            assert "\nFDSize:\t64\n" in f.read()
    finally:
        for c in clients:
            c.close()
