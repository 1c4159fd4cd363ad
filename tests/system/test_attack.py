"""Ways out of a container that were tried on berth: as its root, as the author of an image, as a member of a pod."""

import os
import re
import subprocess

import pytest

from host import SLOW, BIN, eventually
from oci import Image, busybox_entries, layer


def hostile_image(host, tmp_path, name, entries=None, config=None):
    folder = str(tmp_path / name)
    own = layer({**busybox_entries("/bin/busybox", os.path.join(BIN, "guest")), **(entries or {})})
    Image(name, [own], config or {"Cmd": ["sh"], "Env": ["PATH=/bin"]}).write_layout(folder)
    host.berth("image", "import", folder)
    return name


def outside(text):
    """Whether a listing shows a cgroup or a layer rather than the container's own folders."""
    return "cgroup.procs" in text or re.search(r"^(upper|work|fs|logs)$", text, re.M)


# ---------------------------------------------------------------- names that lead through our own descriptors

def test_no_workdir_reaches_what_the_shim_has_open(host):
    # One container tries them all: whatever the shim's child has open when it changes folder.
    name = host.detached("sleep", "600")
    seen = [fd for fd in range(3, 24) if outside(host.berth("exec", "-w", "/proc/self/fd/%d" % fd, name, "ls", code=None, timeout=10).out)]
    assert seen == []


@pytest.mark.parametrize("how", ["flag", "symlink"])
def test_a_launch_with_a_workdir_among_descriptors_is_refused(host, tmp_path, how):
    entries = {"trap%d" % fd: ("link", "/proc/self/fd/%d" % fd) for fd in range(6, 24)}
    image = hostile_image(host, tmp_path, "trap", entries)
    with host.client() as c:
        for fd in range(6, 24):
            path = "/trap%d" % fd if how == "symlink" else "/proc/self/fd/%d" % fd
            r = host.berth("run", "--rm", "-w", path, image, "ls", code=None) if fd in (8, 17, 21, 22) else None
            assert r is None or not outside(r.out), r
        c.request("info")


def test_no_program_is_found_through_a_descriptor(host):
    name = host.detached("sleep", "600")
    up = "/.." * 12
    for fd in range(3, 20):
        r = host.berth("exec", "-e", "PATH=" + "/proc/self/fd/%d%s/bin" % (fd, up), name, "dash", "-c", "echo out", code=None)
        assert "out" not in r.out.split(), (fd, r)


def test_passwd_that_is_a_link_to_a_descriptor_or_a_fifo_names_nobody(host, tmp_path):
    name = host.detached("sleep", "600")
    for made in ("ln -sf /proc/self/fd/%d/../../../../../etc/passwd /etc/passwd" % 8, "rm /etc/passwd; mkfifo /etc/passwd",
                 "rm /etc/passwd; ln -s /dev/zero /etc/passwd"):
        host.berth("exec", name, "sh", "-c", made)
        r = host.berth("exec", "-u", "daemon", name, "id", code=None, timeout=10)
        assert r.code != 0 and "uid=1(" not in r.out, (made, r)
        host.berth("exec", "-u", "0", name, "rm", "-f", "/etc/passwd", code=None)
        host.berth("rm", "-f", name)
        name = host.detached("sleep", "600")


@pytest.mark.native
@pytest.mark.parametrize("at", ["proc", "sys", "dev"])
def test_an_image_cannot_move_what_the_kernel_makes_up(host, tmp_path, at):
    """With /proc -> /x the container's would lie at /x, where no rule of AppArmor and no check of a mount's target expects it."""
    image = hostile_image(host, tmp_path, "moved-" + at, {at: ("link", "/x"), "x": None})
    for flags in ([], ["-v", str(tmp_path) + ":/x/sub"], *([["--userns", "auto"]] if at != "sys" else [])):      # which has no sysfs
        host.refused("run", "--rm", *flags, image, "ls", "/x", code=125, text="/%s is a symlink in the image" % at)
    # Neither later, when there are shims kept ready with this very image.
    host.refused("run", "--rm", image, "ls", "/x", code=125, text="/%s is a symlink in the image" % at)


@pytest.mark.native
def test_no_link_of_an_image_brings_a_mount_over_proc(host, tmp_path):
    """-v to /proc/... is refused by its name; by a link it would come to lie there all the same."""
    image = hostile_image(host, tmp_path, "over", {"y": ("link", "/proc"), "z": ("link", "y/sys")})
    for flags in (["-v", str(tmp_path) + ":/y/sys"], ["-v", "vol:/y/sys/kernel"], ["--tmpfs", "/y/sys"], ["--tmpfs", "/z"],
                  ["-v", str(tmp_path / "over/index.json") + ":/y/version"]):
        host.refused("run", "--rm", *flags, image, "ls", code=125, text="leads into /proc")
    image = hostile_image(host, tmp_path, "over-too", {"y": ("link", "/proc")}, {"Cmd": ["ls"], "Env": ["PATH=/bin"], "Volumes": {"/y/sys": {}}})
    host.refused("run", "--rm", image, code=125, text="leads into /proc")
    # Into other places a link may lead.
    image = hostile_image(host, tmp_path, "elsewhere", {"y": ("link", "/usr")})
    (tmp_path / "given").write_text("given")
    assert host.berth("run", "--rm", "-v", str(tmp_path) + ":/y/data", image, "cat", "/usr/data/given").out == "given"


# ---------------------------------------------------------------- berth's own program inside

def test_root_inside_cannot_change_the_shims_file(host):
    name = host.detached("--init", "--", "sleep", "600")
    for attack in ("chmod 0 /proc/1/exe", "chown 1000 /proc/1/exe", "echo x > /proc/1/exe", "echo x >> /proc/1/exe"):
        assert host.berth("exec", name, "sh", "-c", attack, code=None).code != 0, attack
    r = host.berth("run", "--rm", "busybox", "/proc/self/exe", code=None)   # the shim itself, as the container's program
    assert r.code != 0
    host.run_("true")


@pytest.fixture
def bystander():
    """A process of the host, which a container's init will claim to be."""
    p = subprocess.Popen(["sleep", "600"])
    yield p
    p.kill()
    p.wait()


@pytest.mark.parametrize("kinds", [*(pytest.param([k], marks=pytest.mark.native) for k in range(1, 11)), list(range(9, 0, -1))], ids=lambda k: "-".join(map(str, k)))
def test_a_traced_init_cannot_name_another_process_as_the_container(host, bystander, kinds):
    name = host.detached("--init", "--", "sleep", "600")
    pid = host.status(name)["pid"]
    for kind in kinds:
        said = host.berth("exec", name, "guest", "speak", kind, bystander.pid, code=None).text
        if said == "speak unsupported":
            pytest.skip("not written for this machine's registers")
        assert said in ("speak 524", "speak -32"), said
    assert host.berth("exec", name, "readlink", "/proc/self/ns/mnt").text == os.readlink("/proc/%d/ns/mnt" % pid) != os.readlink("/proc/self/ns/mnt")
    assert host.status(name)["pid"] == pid
    host.berth("kill", name)
    host.wait_state(name, "stopped", "exited")
    assert bystander.poll() is None


def test_a_record_of_odd_size_ends_the_talk_alone(host):
    name = host.detached("--init", "--", "sh", "-c", "sleep 0.5; exit 5")
    host.berth("exec", name, "guest", "speak", 1, 1, 77, code=None)
    assert host.berth("wait", name).text == "5"


# ---------------------------------------------------------------- pods

def test_members_that_share_the_pids_find_nothing_at_the_pause_process(host):
    host.berth("pod", "create", "--name", "p", "--share-pid")
    m = host.detached("--pod", "p", "--", "sleep", "600")
    host.wait_state(m, "running")
    assert host.berth("exec", m, "guest", "trace", "1", code=1).text == "trace Operation not permitted"
    assert host.berth("exec", m, "ls", "/proc/1/root/", code=None).code != 0
    # With the right to trace it: no proc of the host's kernel to write to, and the filter is on it as well.
    t = host.detached("--pod", "p", "--cap-add", "SYS_PTRACE", "--", "sleep", "600")
    host.wait_state(t, "running")
    assert host.berth("exec", t, "sh", "-c", "cat /proc/sys/kernel/hostname > /proc/1/root/proc/sys/kernel/hostname", code=None).code != 0
    assert host.berth("exec", t, "sh", "-c", "grep -E '^(Seccomp|CapBnd):' /proc/1/status").text.split() == ["CapBnd:", "0" * 16, "Seccomp:", "2"]


# ---------------------------------------------------------------- what is inherited

def test_the_session_keyring_is_not_berthds(host, tmp_path):
    flags = ("--security-opt", "seccomp=unconfined")
    name = host.detached(*flags, "--", "sleep", "600")
    shim = host.status(name)["shim_pid"]
    ring = host.berth("exec", name, "guest", "keys").text.split()
    other = host.run_(*flags, "--", "guest", "keys").text.split()
    assert ring[1] not in ("0", "no") and other[1] not in ("0", "no") and shim
    mine = host.berth("exec", name, "guest", "keys").text.split()
    assert mine == ring != other


def test_oom_score_cannot_be_lowered_to_the_shims(host):
    script = "cat /proc/self/oom_score_adj; echo -900 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj"
    name = host.detached("sleep", "600")
    assert host.berth("exec", name, "sh", "-c", script, code=None).lines == ["0", "0"]
    assert host.run_("sh", "-c", script, code=None).lines == ["0", "0"]


# ---------------------------------------------------------------- in the moment before the exec

def test_a_member_that_starts_is_not_seen_before_it_is_one(host):
    """The processes of others are foreign to a member, but none of them is the host's root."""
    host.berth("pod", "create", "--name", "p", "--share-pid")
    spy = host.detached("--pod", "p", "--cap-add", "SYS_PTRACE", "--", "guest", "ambush", str(int(1500 * SLOW)), host.state)
    host.wait_log(spy, "ready")
    seen = []

    def look():
        seen.append(host.berth("run", "--rm", "--pod", "p", "busybox", "sh", "-c", "ps; sleep 0.1; exit 7", code=7).out)
        return re.search(r"saw (\d+), .* of the host (\d+)", host.berth("logs", spy).out)
    report = eventually(look, "its report", 20)
    assert "guest ambush" in seen[0] and not [x for x in seen if "berthd" in x]
    assert int(report[1]) > 0 and report[2] == "0", report[0]


@pytest.mark.parametrize("flags", [pytest.param((), marks=pytest.mark.native), ("--cap-add", "SYS_PTRACE")], ids=["default", "SYS_PTRACE"])
def test_an_exec_is_one_of_the_container_from_the_first_moment_it_is_seen(host, flags):
    name = host.detached(*flags, "--", "guest", "ambush", str(int(1500 * SLOW)), host.state)
    host.wait_log(name, "ready")

    def report():
        host.berth("exec", name, "sleep", "0.1", code=None)      # the last one may come when it has ended
        return re.search(r"saw (\d+), foreign roots (\d+), foreign descriptors (\d+), of the host (\d+)", host.berth("logs", name).out)
    r = eventually(report, "its report", 20)
    assert int(r[1]) > 0 and [r[2], r[3], r[4]] == ["0"] * 3, r[0]


# ---------------------------------------------------------------- with a friend on the host

def test_users_of_the_host_cannot_enter_what_containers_write(host):
    """A setuid program in a rootfs or volume would be theirs to execute. The uuid is no secret: it stands in the shim's arguments."""
    host.detached("-v", "vol:/data", "--", "sleep", "600")
    for folder in ("containers", "volumes", "images", "trash"):
        assert os.stat(os.path.join(host.state, folder)).st_mode & 0o077 == 0, folder
    for folder in ("shims", "exits", "staging"):
        assert os.stat(os.path.join(host.run, folder)).st_mode & 0o077 == 0, folder
