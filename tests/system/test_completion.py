"""Completion in bash and zsh, asked of the shells themselves; and that help, manual page and completion tell of the same flags."""

import os
import pty
import re
import shutil
import subprocess

import pytest

from host import BIN, SLOW

pytestmark = pytest.mark.native

CASES = [      # what is typed, and what it becomes with one press of the key
    ("berth resta", "berth restart "),
    ("berth stop work", "berth stop worker "),
    ("berth stop -t 5 work", "berth stop -t 5 worker "),
    ("berth container stop work", "berth container stop worker "),
    ("berth exec -it work", "berth exec -it worker "),
    ("berth logs --timest", "berth logs --timestamps "),
    ("berth run --rm busy", "berth run --rm busybox:latest "),
    ("berth run busybox:la", "berth run busybox:latest "),
    ("berth run --pod pod", "berth run --pod pody "),
    ("berth run --restart unl", "berth run --restart unless-stopped "),
    ("berth run --restart=unl", "berth run --restart=unless-stopped "),
    ("berth pod ins", "berth pod inspect "),
    ("berth pod rm po", "berth pod rm pody "),
    ("berth volume rm vol", "berth volume rm voly "),
    ("berth rmi busy", "berth rmi busybox:latest "),
    ("berth ps -f anc", "berth ps -f anc"),
    ("berth ps -f vol", "berth ps -f volume="),
    ("berth --project default stop work", "berth --project default stop worker "),
    ("berth completion z", "berth completion zsh "),
]


@pytest.fixture
def named(host):
    host.berth("run", "-d", "--name", "worker", "busybox", "sleep", "600")
    host.berth("pod", "create", "pody")
    host.berth("volume", "create", "voly")
    env = dict(os.environ, BERTH_SOCKET=host.socket, PATH=BIN + ":" + os.environ["PATH"], TERM="dumb")
    return env


def script(tmp_path, shell, name):
    (tmp_path / name).write_bytes(subprocess.run([BIN + "/berth", "completion", shell], capture_output=True, check=True).stdout)
    return str(tmp_path / name)


def test_bash_completes_commands_flags_and_names(host, named, tmp_path):
    ask = """source %s
    while IFS= read -r line; do
        COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
        _berth 2>/dev/null
        printf '%%s\\n' "${#COMPREPLY[@]} ${COMPREPLY[0]}"
    done""" % script(tmp_path, "bash", "berth.bash")
    out = subprocess.run(["bash", "-c", ask], input="".join(typed + "\n" for typed, _ in CASES), capture_output=True, text=True, env=named,
                         timeout=60 * SLOW).stdout.splitlines()
    assert len(out) == len(CASES)
    for (typed, want), line in zip(CASES, out):
        count, _, reply = line.partition(" ")
        if typed == want:
            assert count == "0", (typed, line)
            continue
        # readline takes a word to begin behind = and :, and puts the reply in its place
        word = re.split("[ =:]", typed)[-1]
        candidates = typed[:len(typed) - len(word)] + reply + ("" if reply.endswith("=") else " ")
        assert candidates == want or ("docker.io/library/" + want.split()[-1] == reply), (typed, line)


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed (contrib/packages.txt, test)")
def test_zsh_completes_commands_flags_and_names(host, named, tmp_path):
    script(tmp_path, "zsh", "_berth")
    master, slave = pty.openpty()
    shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=slave, stdout=slave, stderr=slave, env=named, cwd=str(tmp_path), start_new_session=True)
    os.close(slave)

    def until(pattern):
        seen = b""
        while True:
            m = re.search(pattern, seen)
            if m:
                return m
            seen += os.read(master, 4096)
    setup = """PS1=; unsetopt zle_bracketed_paste beep list_beep; fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D
show() { print -r -- "<<$BUFFER>>"; BUFFER= }; zle -N show; bindkey '^G' show; bindkey '^I' complete-word; print rea''dy
""" % tmp_path
    os.write(master, setup.encode())
    until(rb"\nready")
    try:
        for typed, want in CASES:
            os.write(master, typed.encode() + b"\t\x07")
            got = until(rb"<<(.*?)>>").group(1).decode()
            assert got == want or (want.startswith(got) and "busybox" in want), (typed, got)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


# ---------------------------------------------------------------- one table, three places

def commands(host):
    return [l[2:].split("  ")[0].strip() for l in host.berth("help").lines if re.match(r"  [a-z]", l)]


def flags_in_help(host, name):
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z0-9-]*)", host.berth("help", *name.split()).out, re.M))


def test_help_manual_and_completion_tell_of_the_same_flags(host):
    bash = host.berth("completion", "bash").out.split("_berth_flags()")[1].split("_berth_value()")[0]
    zsh = host.berth("completion", "zsh").out
    manual = host.berth("completion", "man").out
    for name in commands(host):
        shown = flags_in_help(host, name)
        of_bash = set(re.findall(r"--[a-z0-9-]+", re.search(r'"%s"\) echo "(.*?)"' % name, bash).group(1)))
        of_zsh = set(re.findall(r"--[a-z0-9-]+(?==|\[|\})", re.search(r"\t'%s'.*?;;" % name, zsh, re.S).group(0)))
        of_manual = set(re.findall(r"\*(--[a-z0-9-]+)\*", re.search(r"^\*berth %s\*.*?(?=^\*berth |^# |\Z)" % name, manual, re.S | re.M).group(0)))
        assert of_bash - {"--help"} == of_zsh - {"--help"} == of_manual == shown, name


def test_every_flag_that_is_told_of_is_taken(host):
    for name in commands(host):
        for flag in flags_in_help(host, name):
            words = re.search(r"^.*%s(?![\w-])(.*)$" % flag, host.berth("help", *name.split()).out, re.M).group(1)
            if re.match(r" [^ ]", words):           # it has a value
                assert "needs a value" in host.berth(*name.split(), flag, code=None).err, (name, flag)
            else:
                assert "takes true or false" in host.berth(*name.split(), flag + "=perhaps", code=None).err, (name, flag)


def test_the_flags_of_the_manuals_text_exist(host):
    source = open(os.path.join(os.path.dirname(__file__), "../../man/berth.1.scd")).read()
    known = set(re.findall("--[a-z0-9-]+", host.berth("help").out)).union(*(flags_in_help(host, name) for name in commands(host)))
    told = {re.sub(r"=.*", "", f) for f in re.findall(r"\*(--[a-z][a-z0-9-]*(?:=\w+)?)", source)}
    assert told - known == set()
