#!/bin/sh
# contrib/demo.sh - see berth work, on private folders, in about a minute. As root: `make demo`.
#
# Installs what is missing (contrib/packages.txt), builds, starts a berthd of its own beside whatever runs here, shows what it
# does a step at a time, and takes everything away again, also when it is interrupted.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
export PATH="$B:$PATH"

if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') off=$(printf '\033[0m'); else bold='' dim='' off=''; fi
step=0
say() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step" "$*" "$off"; }
note() { printf '   %s\n' "$*"; }
die() { printf '\n%sdemo: %s%s\n' "$bold" "$*" "$off" >&2; [ -z "${log-}" ] || tail -n 20 "$log" >&2; exit 1; }
# Shows a command and runs it; its output is set off.
show() { printf '   %s$ %s%s\n' "$dim" "$*" "$off"; "$@" 2>&1 | sed 's/^/     /'; }

[ "$(id -u)" = 0 ] || die "needs root: sudo make demo"

# ---------------------------------------------------------------- programs

say "Looking for what is needed to build and run (contrib/packages.txt)"
contrib/packages build run || die "apt-get could not install it"
note "all there"
say "Building berthd, berth-shim, berth-job, berth and berth-gateway (half a minute the first time)"
dir=$(mktemp -d /var/tmp/berth-demo.XXXXXX)
trap 'rm -rf "$dir"' EXIT
make -j"$(nproc)" B="$B" all >"$dir/build.log" 2>&1 || { tail -n 30 "$dir/build.log" >&2; die "the build failed"; }
note "$(berth --version), in $B"

# ---------------------------------------------------------------- folders, and their end

chmod 711 "$dir"	# berth-gateway gives up being root before it asks for the socket within
mkdir "$dir/state"
mkdir -m 711 "$dir/run"
log=$dir/berthd.log
cgroup=/berth-demo-$$
BERTH_SOCKET=$dir/run/control.sock
export BERTH_SOCKET
daemon= gateway=
mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -z "$mount" ]; then
	mkdir -p /sys/fs/cgroup 2>/dev/null || :
	mount -t cgroup2 none /sys/fs/cgroup || die "this kernel has no cgroup v2"
	mount=/sys/fs/cgroup
fi

cleanup() {
	trap '' INT TERM
	set +e
	[ -z "$gateway" ] || kill -9 "$gateway" 2>/dev/null
	[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null
	if [ -d "$mount$cgroup" ]; then
		echo 1 >"$mount$cgroup/cgroup.kill" 2>/dev/null
		for i in 1 2 3 4 5 6 7 8 9 10; do
			find "$mount$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
			[ -d "$mount$cgroup" ] || break
			sleep 0.1
		done
	fi
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start_berthd() {
	berthd --state "$dir/state" --run "$dir/run" --cgroup "$cgroup" 2>>"$log" &
	daemon=$!
	for i in $(seq 100); do
		berth version >/dev/null 2>&1 && return
		kill -0 "$daemon" 2>/dev/null || die "berthd ended"
		sleep 0.05
	done
	die "berthd does not answer"
}

# On the first port that is free: sets $gateway and $url.
start_gateway() {
	for port in 9517 19517 29517 39517; do
		berth-gateway --control "$dir/run/api.sock" --listen "127.0.0.1:$port" 2>>"$log" &
		gateway=$!
		for i in $(seq 100); do
			kill -0 "$gateway" 2>/dev/null || continue 2
			url=http://127.0.0.1:$port/v1
			curl -fs -o "$dir/health" "http://127.0.0.1:$port/healthcheck" && return
			sleep 0.05
		done
		die "berth-gateway does not answer"
	done
	gateway=
	die "berth-gateway did not start on any of four ports"
}

field() { berth inspect --format "$1" "$2"; }
await() { # seconds, words, command...
	limit=$(($1 * 20)) words=$2
	shift 2
	until "$@"; do
		limit=$((limit - 1))
		[ $limit -gt 0 ] || die "$words"
		sleep 0.05
	done
}

# ---------------------------------------------------------------- the show

say "Starting berthd with its state and sockets in $dir, its groups in $cgroup"
start_berthd
note "berthd runs as pid $daemon"
note "\$ berth check"
berth check --format '{{.result}}|{{.name}}|{{.remedy}}' >"$dir/check" || :
awk -F'|' '$1 == "ok" { ok++; next } { printf "     %-9s %s: %s\n", $1, $2, $3 } END { printf "     ok        %d other things\n", ok }' "$dir/check"

say "Making an image of Debian's busybox-static and importing it"
tests/fixtures/mkimage.sh "$dir/image" >/dev/null || die "the image could not be made"
show berth image import "$dir/image"

counter='n=0; while :; do n=$((n+1)); echo "tick $n"; sleep 0.1; done'
say "A container with limits: 64 MiB of memory, half a processor, 32 processes; always restarted"
if out=$(berth run -d --name ticker --restart always -m 64m --cpus 0.5 --pids-limit 32 busybox sh -c "$counter" 2>&1); then
	note "ticker is $out"
	note "the kernel's word for it, read from inside:"
	for f in memory.max cpu.max pids.max; do
		note "  $f = $(berth exec ticker cat /sys/fs/cgroup/$f)"
	done
else
	note "This host cannot apply all of them (its cgroup v2 lacks controllers), and berth refuses what it cannot keep:"
	printf '%s\n' "$out" | sed 's/^/     /'
	note "So here it runs without those limits; everything else is the same."
	show berth run -d --name ticker --restart always busybox sh -c "$counter"
fi
await 10 "the container does not run" sh -c '[ "$(berth inspect --format .status.state ticker)" = running ]'
show berth ps

say "Killing its process with -9, as an accident would: the policy starts it again"
pid=$(field .status.pid ticker)
note "\$ kill -9 $pid"
kill -9 "$pid"
await 10 "it was not restarted" sh -c '[ "$(berth inspect --format .status.restart_count ticker)" = 1 ] && [ "$(berth inspect --format .status.state ticker)" = running ]'
note "now pid $(field .status.pid ticker), restarts $(field .status.restart_count ticker); last exit: $(field .status.last_exit.reason ticker)"
note "why: $(field .status.restart_decision ticker)"

say "Killing berthd itself with -9: the container does not notice"
pid=$(field .status.pid ticker)
sleep 1
kill -9 "$daemon"
wait "$daemon" 2>/dev/null || :
daemon=
note "berthd is dead; the container's process $pid lives: $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-40)…"
sleep 1
note "one second later berthd starts again and takes it back"
start_berthd
[ "$(field .status.pid ticker)" = "$pid" ] || die "the container has another pid"
note "same pid: $(field .status.pid ticker)"
berth logs ticker | awk '
	$2 == 1 { runs++; expect = 1 }
	$2 != expect { bad++ }
	{ expect = $2 + 1; last = $2 }
	END { printf "   counter: %d runs, the last one at tick %d, %s\n", runs, last, bad ? bad " LINES LOST" : "not a tick missing"; exit bad != 0 }' ||
	die "the counter was interrupted"

say "A command inside it"
show berth exec ticker sh -c 'echo "I am $(hostname), uid $(id -u), in $(pwd), and these are all processes that I see:"; ps'
berth exec ticker sh -c 'exit 42' && code=0 || code=$?
note "exec passes exit codes on: sh -c 'exit 42' gave $code"

say "Its log, and what it uses"
show berth logs --tail 3 --timestamps ticker
show berth stats --no-stream ticker
show berth actions ticker

say "What cannot be done says why"
berth run --rm busybox /bin/nothing-here >/dev/null 2>"$dir/err" && die "that should have failed" || code=$?
note "\$ berth run --rm busybox /bin/nothing-here"
sed 's/^/     /' "$dir/err"
note "exit code $code"

say "The same by HTTP: berth-gateway speaks OpenStack Zun's API, for whoever shows a token"
berth token create --project default --user demo --role member >"$dir/token"
chmod 600 "$dir/token"
token=$(cat "$dir/token")
note "\$ berth token create --project default --user demo --role member"
note "  $(printf %.12s "$token")… (shown once; berthd keeps its hash)"
start_gateway
note "berth-gateway runs as pid $gateway, user $(ps -o user= -p "$gateway"), on $url"
note "\$ curl -H \"X-Auth-Token: \$TOKEN\" $url/containers"
curl -fsS -H "X-Auth-Token: $token" "$url/containers" >"$dir/list" || die "the gateway refused"
grep -o '"name":"[^"]*"\|"status":"[^"]*"\|"status_detail":"[^"]*"' "$dir/list" | sed 's/^/     /'
grep -q '"name":"ticker"' "$dir/list" || die "the container is not in the list"
if command -v openstack >/dev/null && python=$(command -v /usr/bin/python3) && "$python" -c 'import zunclient' 2>/dev/null; then
	note "\$ openstack appcontainer list      (the stock client)"
	"$python" "$(command -v openstack)" --os-auth-type admin_token --os-token "$token" --os-endpoint "$url" \
		appcontainer list 2>&1 | sed 's/^/     /'
else
	note "(with Debian's python3-openstackclient and python3-zunclient, \`openstack appcontainer list\` shows it too: README.md)"
fi
kill "$gateway"
wait "$gateway" 2>/dev/null || :
gateway=

say "Taking everything away"
uuid=$(field .meta.uuid ticker)
show berth stop -t 1 ticker
show berth rm ticker
await 10 "the container's group is still there" sh -c "[ ! -d $mount$cgroup/shared/$uuid ]"
kill "$daemon"
wait "$daemon" 2>/dev/null || :
daemon=
await 10 "a process is left" sh -c "[ -z \"\$(find $mount$cgroup -name cgroup.procs -exec cat {} +)\" ]"
note "no container, no group, no mount, no process is left; $dir is removed"
printf '\n%sThat was berth.%s  make check runs all its tests; README.md goes on from here.\n' "$bold" "$off"
