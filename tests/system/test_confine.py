"""Confinement: as strict as Docker's by default, looser or tighter on request, and inspect says what is in force."""

import json
import os

import pytest

from conftest import private_host
from host import BIN, eventually, processes

DOCKER_CAPS = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT",
               "MKNOD", "AUDIT_WRITE", "SETFCAP"]
CAP = {name: n for n, name in enumerate("""CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT
SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE""".split())}


def mask(names):
    return sum(1 << CAP[n] for n in names)


def status(host, *flags):
    r = host.run_(*flags, "--", "guest", "status")
    return {l.split(":")[0]: l.split(":", 1)[1].strip() for l in r.lines}


def probes(host, *flags):
    return dict(l.split() for l in host.run_(*flags, "--", "guest", "syscalls").lines)


# ---------------------------------------------------------------- capabilities

def test_default_capabilities_equal_dockers(host):
    s = status(host)
    assert [int(s[k], 16) for k in ("CapPrm", "CapEff", "CapBnd")] == [mask(DOCKER_CAPS)] * 3
    assert int(s["CapInh"], 16) == 0 and int(s["CapAmb"], 16) == 0


@pytest.mark.parametrize("flags, names", [
    (["--cap-add", "NET_ADMIN"], DOCKER_CAPS + ["NET_ADMIN"]),
    (["--cap-add", "cap_sys_time", "--cap-drop", "MKNOD"], [c for c in DOCKER_CAPS if c != "MKNOD"] + ["SYS_TIME"]),
    (["--cap-drop", "ALL"], []),
    (["--cap-drop", "all", "--cap-add", "CHOWN"], ["CHOWN"]),
])
def test_capabilities_are_added_and_dropped(host, flags, names):
    assert int(status(host, *flags)["CapBnd"], 16) == mask(names)


def test_cap_add_all_and_privileged_have_every_capability_of_the_kernel(host):
    # What root itself has here: a virtual machine may have been booted with some taken away.
    full = next(int(l.split()[1], 16) for l in open("/proc/self/status") if l.startswith("CapBnd"))
    assert int(status(host, "--cap-add", "ALL")["CapEff"], 16) == full
    assert int(status(host, "--privileged")["CapEff"], 16) == full
    assert int(status(host, "--privileged", "--cap-drop", "SYS_ADMIN")["CapEff"], 16) == full & ~mask(["SYS_ADMIN"])
    assert int(status(host, "--privileged", "--cap-drop", "ALL", "--cap-add", "CHOWN")["CapEff"], 16) == mask(["CHOWN"])


def test_other_users_have_no_capabilities_but_the_bounding_set(host):
    s = status(host, "-u", "1000")
    assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0 and int(s["CapBnd"], 16) == mask(DOCKER_CAPS)


# ---------------------------------------------------------------- seccomp

DENIED = """acct add_key bpf clock_settime delete_module finit_module init_module io_uring_setup kcmp kexec_load keyctl lookup_dcookie mount
move_mount move_pages open_by_handle_at open_tree perf_event_open pivot_root quotactl reboot request_key set_mempolicy
setns settimeofday swapoff swapon syslog umount2 unshare_user unshare_mnt userfaultfd vhangup socket_vsock personality_odd""".split()
ALLOWED = "getpid openat2 fchmodat statx socket_unix personality_linux chroot close_range".split()


def test_seccomp_denies_what_dockers_profile_denies(host):
    got = probes(host)
    # io_uring and the like may be answered as if the kernel did not have them; nothing else may come through.
    assert {n: got[n] for n in DENIED if got[n] not in ("EPERM", "ENOSYS")} == {}
    assert got["clone3"] == "ENOSYS" and got["unknown"] == "ENOSYS"


def test_seccomp_allows_what_programs_need(host):
    got = probes(host)
    assert {n: got[n] for n in ALLOWED if got[n] in ("EPERM", "ENOSYS")} == {}


def test_seccomp_is_a_filter_and_gone_when_unconfined_or_privileged(host):
    assert status(host)["Seccomp"] == "2"
    assert status(host, "--security-opt", "seccomp=unconfined")["Seccomp"] == "0"
    assert status(host, "--privileged")["Seccomp"] == "0"


def test_seccomp_follows_the_capabilities(host):
    got = probes(host, "--cap-add", "SYS_ADMIN")
    assert got["mount"] == "EFAULT" and got["setns"] == "EBADF" and got["keyctl"] in ("EPERM", "ENOSYS")
    assert probes(host, "--cap-add", "SYS_TIME")["settimeofday"] in ("ok", "EINVAL", "EFAULT")


def test_seccomp_profile_of_the_user_is_used(host, tmp_path):
    profile = tmp_path / "p.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}, {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]}))
    r = host.run_("--security-opt", "seccomp=%s" % profile, "--", "mkdir", "/x", code=1)
    assert "No space left" in r.err


@pytest.mark.native
@pytest.mark.parametrize("text, said", [("{", "(?i)json|line|column|premature|expected"), ('{"defaultAction": "SCMP_ACT_NONSENSE"}', "SCMP_ACT_NONSENSE"),
                                        ('{"syscalls": []}', "defaultAction"), ("[]", "(?i)object|profile|json")])
def test_bad_seccomp_profile_is_refused_with_the_place(host, tmp_path, text, said):
    import re
    profile = tmp_path / "p.json"
    profile.write_text(text)
    r = host.berth("run", "--rm", "--security-opt", "seccomp=%s" % profile, "busybox", "true", code=125)
    assert re.search(said, r.err), r


def test_in_force_says_what_the_kernel_says(host):
    name = host.detached("--cap-drop", "MKNOD", "--security-opt", "no-new-privileges", "--", "sleep", "600")
    s = host.status(name)
    kernel = dict(l.split(":", 1) for l in open("/proc/%d/status" % s["pid"]))
    force = s["in_force"]
    assert sum(1 << CAP[c[4:]] for c in force["capabilities"]) == int(kernel["CapBnd"], 16)
    assert force["no_new_privs"] and kernel["NoNewPrivs"].strip() == "1"
    assert force["seccomp"] == "default" and kernel["Seccomp"].strip() == "2"


def test_no_new_privs_only_on_request(host):
    assert status(host)["NoNewPrivs"] == "0"
    assert status(host, "--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"


# ---------------------------------------------------------------- paths

MASKED = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/proc/sched_debug", "/proc/latency_stats",
          "/proc/timer_stats", "/proc/interrupts"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def test_masked_paths_show_nothing(host):
    script = "for p in %s; do test -e $p || continue; if test -d $p; then echo $p $(ls $p | wc -l); else echo $p $(head -c 100 $p | wc -c); fi; done" % " ".join(MASKED[:7])
    rows = [l.split() for l in host.run_("sh", "-c", script).lines]
    assert rows and all(n == "0" for _, n in rows), rows


def test_read_only_paths_cannot_be_written(host):
    rows = host.run_("sh", "-c", "for p in %s; do awk -v p=$p '$5 == p {print p, $6}' /proc/self/mountinfo; done" % " ".join(READ_ONLY)).lines
    seen = {r.split()[0]: r.split()[1].split(",") for r in rows}
    for p in READ_ONLY:
        if os.path.exists(p):
            assert "ro" in seen.get(p, []), (p, seen)
    r = host.run_("sh", "-c", "echo 1 > /proc/sys/kernel/panic", code=None)
    assert r.code != 0 and "Read-only file system" in r.err


def test_sys_and_cgroup_are_read_only_unless_privileged(host):
    options = {l.split()[4]: l.split()[5].split(",") for l in host.run_("cat", "/proc/self/mountinfo").lines}
    assert "ro" in options["/sys"]
    assert all("ro" in o for p, o in options.items() if p.startswith("/sys/fs/cgroup"))
    options = {l.split()[4]: l.split()[5].split(",") for l in host.run_("--privileged", "--", "cat", "/proc/self/mountinfo").lines}
    assert "rw" in options["/sys"]


def test_the_cgroup_namespace_shows_the_container_as_root(host):
    rows = host.run_("cat", "/proc/self/cgroup").lines
    assert [r for r in rows if r.startswith("0:")] == ["0::/"]


# ---------------------------------------------------------------- descriptors, devices, processes

def test_no_descriptor_leaks_into_the_container(host):
    lines = host.run_("guest", "print-fds").lines
    assert [l.split()[1] for l in lines] == ["0", "1", "2"], lines


def test_no_descriptor_leaks_into_an_exec(host):
    name = host.detached("sleep", "600")
    lines = host.berth("exec", name, "guest", "print-fds").lines
    assert [l.split()[1] for l in lines] == ["0", "1", "2"], lines
    assert not [l for l in lines if host.state in l or host.run in l]


def test_dev_has_the_usual_nodes_and_nothing_of_the_host(host):
    names = set(host.run_("ls", "/dev").out.split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr"} <= names
    assert not names & {"mem", "kmsg", "vda", "sda", "kvm", "loop0", "fuse"}
    assert host.run_("sh", "-c", "echo x > /dev/null; head -c 4 /dev/urandom | wc -c; head -c 3 /dev/zero | wc -c; echo x > /dev/full", code=1).out.split() == ["4", "3"]


def test_devices_are_denied_even_when_a_node_can_be_made(host):
    null = host.run_("sh", "-c", "mknod /tmp/n c 1 3 && cat /tmp/n && echo fine").text
    assert null == "fine"
    r = host.run_("sh", "-c", "mknod /tmp/m c 1 1 && dd if=/tmp/m of=/dev/null bs=1 count=1", code=1)
    assert "Operation not permitted" in r.err


def test_device_is_given_with_its_access(host):
    if not os.path.exists("/dev/loop-control"):
        os.mknod("/dev/loop-control", 0o600 | 0o020000, os.makedev(10, 237))
    assert "loop-control" in host.run_("--device", "/dev/loop-control", "--", "ls", "/dev").out
    host.run_("--device", "/dev/zero:/dev/nil:r", "--", "sh", "-c", "head -c 3 /dev/nil | wc -c")
    out = host.run_("--device", "/dev/loop-control:/dev/lc:r", "--", "sh", "-c", "echo x > /dev/lc", code=1).err
    assert "Operation not permitted" in out


def test_privileged_sees_the_hosts_devices(host):
    names = set(host.run_("--privileged", "--", "ls", "/dev").out.split())
    assert "kmsg" in names or "mem" in names or len(names) > 25


def test_processes_of_the_host_and_of_others_are_invisible(host):
    host.detached("sleep", "4321")
    out = host.run_("ps").out
    assert "4321" not in out and "berthd" not in out


def test_pid_host_sees_them(host):
    out = host.run_("--pid", "host", "--", "ps").out
    assert "berthd" in out


def test_network_none_has_only_loopback_up_and_host_is_the_hosts(host):
    # A kernel may add devices of its own (sit0, tunl0) to every network namespace; none of them is up.
    assert host.run_("sh", "-c", "cat /sys/class/net/lo/flags; grep -l . /dev/null; ip -o link show up 2>/dev/null | wc -l").lines[0] in ("0x9", "0x49")
    assert host.run_("--network", "host", "--", "readlink", "/proc/self/ns/net").text == os.readlink("/proc/%d/ns/net" % host.daemon.pid)
    assert host.run_("readlink", "/proc/self/ns/net").text != os.readlink("/proc/%d/ns/net" % host.daemon.pid)


def test_unprivileged_users_may_bind_low_ports_and_ping(host):
    r = host.run_("-u", "1000", "--", "sh", "-c", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/sys/net/ipv4/ping_group_range")
    assert r.lines[0] == "0" and r.lines[1].split()[0] == "0" and int(r.lines[1].split()[1]) > 1000


def test_ptys_work_in_the_container(host):
    assert host.run_("guest", "ptys", "3").lines == ["pty /dev/pts/0", "pty /dev/pts/1", "pty /dev/pts/2"]


# ---------------------------------------------------------------- user namespaces

def test_userns_maps_root_to_an_unprivileged_range(host):
    name = host.detached("--userns", "auto", "--", "sh", "-c", "id -u; cat /proc/self/uid_map; touch /root/mine; stat -c '%u %g' /etc/passwd /root/mine; exec sleep 600")
    out = host.wait_log(name, "0 0\n0 0\n").split("\n")
    assert out[0] == "0"
    inside, outside, count = map(int, out[1].split())
    assert inside == 0 and outside >= 100000 and count >= 65536
    s = host.status(name)
    assert s["in_force"]["userns"] and s["in_force"]["userns_first_id"] == outside
    assert os.stat("/proc/%d" % s["pid"]).st_uid == outside


def test_userns_ranges_of_two_containers_differ(host):
    a, b = host.detached("--userns", "auto", "--", "sleep", "600"), host.detached("--userns", "auto", "--", "sleep", "600")
    ranges = [host.status(n)["in_force"]["userns_first_id"] for n in (a, b)]
    assert abs(ranges[0] - ranges[1]) >= 65536


def test_userns_container_root_may_bind_port_80_and_change_its_hostname_not_the_hosts(host):
    out = host.run_("--userns", "auto", "--", "sh", "-c", "timeout 0.3 nc -l -p 80; echo $?", code=0).text
    assert out.splitlines()[-1] in ("143", "124", "0")


def test_userns_exec_enters_it(host):
    name = host.detached("--userns", "auto", "--", "sleep", "600")
    script = "readlink /proc/%s/ns/user; id -u"
    assert host.berth("exec", name, "sh", "-c", script % "self").lines == host.berth("exec", name, "sh", "-c", script % "1").lines


def test_escape_by_release_agent_and_friends_is_refused(host):
    r = host.run_("sh", "-c", "mkdir /tmp/cg && mount -t cgroup2 none /tmp/cg", code=None)
    assert r.code != 0
    r = host.run_("sh", "-c", "echo /tmp/x > /proc/sys/kernel/core_pattern", code=None)
    assert r.code != 0


def test_shims_binary_cannot_be_reached_or_overwritten_from_inside(host):
    name = host.detached("sleep", "600")
    for p in (1,):
        r = host.berth("exec", name, "sh", "-c", "readlink /proc/%d/exe; ls -l /proc/%d/exe" % (p, p), code=None)
        assert "memfd" not in r.out and "berth" not in r.out.replace(name, "")
    r = host.run_("--pid", "host", "--", "sh", "-c", "for p in /proc/[0-9]*; do case $(readlink $p/exe) in *shim*) echo x > $p/exe && echo overwritten;; esac; done; true")
    assert "overwritten" not in r.out


def test_setuid_on_volumes_and_tmp_follow_the_spec_of_docker(host):
    options = {l.split()[4]: l.split()[5].split(",") for l in host.run_("cat", "/proc/self/mountinfo").lines}
    assert {"nosuid", "nodev", "noexec"} <= set(options["/proc"])
    assert {"nosuid", "nodev", "noexec"} <= set(options["/dev/shm"])
    assert {"nosuid", "noexec"} <= set(options["/dev/pts"])
    assert {"nosuid", "nodev", "noexec"} <= set(options["/sys"])
    assert "nosuid" in options["/dev"]


def test_apparmor_is_in_force_where_the_kernel_has_it(host):
    name = host.detached("sleep", "600")
    said = host.status(name)["in_force"]["apparmor"]
    try:
        kernel = open("/sys/module/apparmor/parameters/enabled").read().strip() == "Y"
        loaded = "berth-default (enforce)\n" in open("/sys/kernel/security/apparmor/profiles")
    except FileNotFoundError:
        kernel = loaded = False
    assert said == ("berth-default" if loaded else "unconfined" if kernel else "unsupported")
    if kernel:
        assert open("/proc/%d/attr/current" % host.status(name)["pid"]).read().split()[0] == said


def test_keyring_and_umask_and_oom_score_are_the_containers_own(host):
    assert status(host)["Umask"] == "0022"
    assert host.run_("--oom-score-adj", "500", "--", "cat", "/proc/self/oom_score_adj").text == "500"


def test_shim_is_gone_with_its_container(host):
    name = host.detached("sleep", "600")
    shim = host.status(name)["shim_pid"]
    assert shim in processes()
    host.berth("rm", "-f", name)
    eventually(lambda: shim not in processes(), "the shim has ended")


# ---------------------------------------------------------------- a kernel that lacks something

BPF, SECCOMP = 321, 317


def without(number):
    """A berthd on a kernel that lacks a system call: a filter says so, which shims and containers inherit."""
    return private_host(before=[os.path.join(BIN, "guest"), "without", str(number), "--"])


def item(host, name):
    return next(i for i in host.berth("check", "--format", "json", code=None).json() if i["name"] == name)


def test_a_kernel_without_device_filters_takes_mknod_away_and_says_so():
    with without(BPF) as host:
        for name, flags in {"plain": [], "caps": ["--cap-add", "ALL"]}.items():
            host.detached(*flags, "--", "sleep", "600", name=name)
            has = host.status(name)["in_force"]
            assert not has.get("device_filter") and "CAP_MKNOD" not in has["capabilities"]
            assert int(next(l for l in open("/proc/%d/status" % host.status(name)["pid"]) if l.startswith("CapBnd")).split()[1], 16) & mask(["MKNOD"]) == 0
            assert host.berth("exec", name, "mknod", "/null", "c", "1", "3", code=None).code
        assert host.log().count("without a device filter") == 1 and "CONFIG_CGROUP_BPF" in host.log()
        assert item(host, "device filter")["result"] != "ok"


def test_a_kernel_without_seccomp_runs_containers_without_and_says_so(tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    with without(SECCOMP) as host:
        host.detached("--", "sleep", "600", name="plain")
        has = host.status("plain")["in_force"]
        assert has["seccomp"] == "unsupported" and not has.get("seccomp_instructions")
        host.berth("exec", "plain", "true")
        host.berth("pod", "create", "--name", "p")
        host.run_("--pod", "p", "--", "true")
        host.refused("run", "--security-opt", "seccomp=%s" % profile, "busybox", "true", text="no seccomp filters", code=125)
        assert "no seccomp filters: containers run without" in host.log()
        assert item(host, "seccomp")["result"] == "missing"


def test_privileged_has_no_device_filter_and_does_not_pretend(host):
    host.detached("--privileged", "--", "sleep", "600", name="all")
    host.detached("--", "sleep", "600", name="plain")
    assert not host.status("all")["in_force"].get("device_filter")
    assert host.status("plain")["in_force"]["device_filter"]
