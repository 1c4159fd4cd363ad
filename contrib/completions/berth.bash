# bash completion of berth, written by `berth completion bash`

_berth_commands() {
	case $1 in
	"") echo "run create start stop restart kill pause unpause exec cp attach wait rename update rebuild rm ps inspect logs diff top port stats events actions pod pull push login logout commit image load image save image network security-group floating-ip volume token info check system upgrade shutdown version completion help " ;;
	"container") echo "run create start stop restart kill pause unpause exec cp attach wait rename update rebuild rm ps inspect logs diff top port stats actions commit " ;;
	"pod") echo "create ls inspect rm " ;;
	"image") echo "import export ls inspect tag history prune verify rm " ;;
	"image") echo "import export ls inspect tag history prune verify rm " ;;
	"image") echo "import export ls inspect tag history prune verify rm " ;;
	"network") echo "create ls inspect drivers update limit connect disconnect rm prune " ;;
	"security-group") echo "create ls inspect rm rule-add rule-ls rule-rm set " ;;
	"floating-ip") echo "pool-create pool-ls pool-rm allocate ls associate disassociate release " ;;
	"volume") echo "create ls inspect update rm prune " ;;
	"token") echo "create ls revoke check " ;;
	"system") echo "df " ;;
	esac
}

_berth_resolve() {
	case $1 in
	container) echo container ;;
	"run"|"container run") echo "run" ;;
	"create"|"container create") echo "create" ;;
	"start"|"container start") echo "start" ;;
	"stop"|"container stop") echo "stop" ;;
	"restart"|"container restart") echo "restart" ;;
	"kill"|"container kill") echo "kill" ;;
	"pause"|"container pause") echo "pause" ;;
	"unpause"|"container unpause") echo "unpause" ;;
	"exec"|"container exec") echo "exec" ;;
	"cp"|"container cp") echo "cp" ;;
	"attach"|"container attach") echo "attach" ;;
	"wait"|"container wait") echo "wait" ;;
	"rename"|"container rename") echo "rename" ;;
	"update"|"container update") echo "update" ;;
	"rebuild"|"container rebuild") echo "rebuild" ;;
	"rm"|"container rm"|"container remove"|"container rm") echo "rm" ;;
	"ps"|"container ls"|"container list"|"ls"|"container ps") echo "ps" ;;
	"inspect"|"container inspect") echo "inspect" ;;
	"logs"|"container logs") echo "logs" ;;
	"diff"|"container diff"|"container diff") echo "diff" ;;
	"top"|"container top") echo "top" ;;
	"port"|"container port"|"container port") echo "port" ;;
	"stats"|"container stats") echo "stats" ;;
	"events") echo "events" ;;
	"actions"|"container actions") echo "actions" ;;
	pod) echo pod ;;
	"pod create") echo "pod create" ;;
	"pod ls"|"pod list"|"pod ps") echo "pod ls" ;;
	"pod inspect") echo "pod inspect" ;;
	"pod rm"|"pod remove") echo "pod rm" ;;
	"pull"|"image pull") echo "pull" ;;
	"push"|"image push") echo "push" ;;
	"login") echo "login" ;;
	"logout") echo "logout" ;;
	"commit"|"container commit"|"container commit") echo "commit" ;;
	image) echo image ;;
	"image import") echo "image import" ;;
	"load"|"image load") echo "load" ;;
	image) echo image ;;
	"image export") echo "image export" ;;
	"save"|"image save") echo "save" ;;
	image) echo image ;;
	"image ls"|"images"|"image list") echo "image ls" ;;
	"image inspect") echo "image inspect" ;;
	"image tag"|"tag") echo "image tag" ;;
	"image history"|"history") echo "image history" ;;
	"image prune") echo "image prune" ;;
	"image verify") echo "image verify" ;;
	"image rm"|"rmi"|"image remove") echo "image rm" ;;
	network) echo network ;;
	"network create") echo "network create" ;;
	"network ls"|"network list") echo "network ls" ;;
	"network inspect") echo "network inspect" ;;
	"network drivers") echo "network drivers" ;;
	"network update") echo "network update" ;;
	"network limit") echo "network limit" ;;
	"network connect") echo "network connect" ;;
	"network disconnect") echo "network disconnect" ;;
	"network rm"|"network remove") echo "network rm" ;;
	"network prune") echo "network prune" ;;
	security-group) echo security-group ;;
	"security-group create"|"sg create") echo "security-group create" ;;
	"security-group ls"|"security-group list"|"sg ls"|"sg list") echo "security-group ls" ;;
	"security-group inspect"|"sg inspect") echo "security-group inspect" ;;
	"security-group rm"|"security-group remove"|"sg rm"|"sg remove") echo "security-group rm" ;;
	"security-group rule-add"|"security-group rule add"|"sg rule-add"|"sg rule add") echo "security-group rule-add" ;;
	"security-group rule-ls"|"security-group rule ls"|"sg rule-ls"|"sg rule ls") echo "security-group rule-ls" ;;
	"security-group rule-rm"|"security-group rule rm"|"sg rule-rm"|"sg rule rm") echo "security-group rule-rm" ;;
	"security-group set"|"sg set") echo "security-group set" ;;
	floating-ip) echo floating-ip ;;
	"floating-ip pool-create"|"floating-ip pool create") echo "floating-ip pool-create" ;;
	"floating-ip pool-ls"|"floating-ip pool ls"|"floating-ip pool list") echo "floating-ip pool-ls" ;;
	"floating-ip pool-rm"|"floating-ip pool rm"|"floating-ip pool remove") echo "floating-ip pool-rm" ;;
	"floating-ip allocate"|"floating-ip create") echo "floating-ip allocate" ;;
	"floating-ip ls"|"floating-ip list") echo "floating-ip ls" ;;
	"floating-ip associate") echo "floating-ip associate" ;;
	"floating-ip disassociate") echo "floating-ip disassociate" ;;
	"floating-ip release"|"floating-ip rm") echo "floating-ip release" ;;
	volume) echo volume ;;
	"volume create") echo "volume create" ;;
	"volume ls"|"volume list") echo "volume ls" ;;
	"volume inspect") echo "volume inspect" ;;
	"volume update") echo "volume update" ;;
	"volume rm"|"volume remove") echo "volume rm" ;;
	"volume prune") echo "volume prune" ;;
	token) echo token ;;
	"token create") echo "token create" ;;
	"token ls"|"token list") echo "token ls" ;;
	"token revoke"|"token rm"|"token remove") echo "token revoke" ;;
	"token check"|"whoami") echo "token check" ;;
	"info") echo "info" ;;
	"check") echo "check" ;;
	system) echo system ;;
	"system df") echo "system df" ;;
	"upgrade") echo "upgrade" ;;
	"shutdown") echo "shutdown" ;;
	"version") echo "version" ;;
	"completion") echo "completion" ;;
	"help") echo "help" ;;
	*) return 1 ;;
	esac
}

_berth_flags() {
	case $1 in
	"") echo "--socket --project --token-file -v --version --help" ;;
	"run") echo "-d --detach --name --cidfile --detach-keys --sig-proxy --pull --platform --tls-verify --authfile --quiet -e --env --env-file -w --workdir -u --user -l --label --label-file -h --hostname --entrypoint --stop-signal --stop-timeout --init -i --interactive -t --tty --rm --read-only -v --volume --mount --tmpfs --device --cap-add --cap-drop --privileged --security-opt --userns --ulimit --sysctl --shm-size --oom-score-adj -P --publish-all --expose --pid --ipc --pod --pod-init --log-opt --network --network-alias --ip --ip6 --mac-address -p --publish --add-host --dns --dns-search --dns-option -m --memory --memory-high --memory-swap --cpus --cpu-weight --cpuset-cpus --cpuset-mems --pids-limit --io-weight --io-max --oom-group --restart --help" ;;
	"create") echo "--name --cidfile --pull --platform --tls-verify --authfile --quiet -e --env --env-file -w --workdir -u --user -l --label --label-file -h --hostname --entrypoint --stop-signal --stop-timeout --init -i --interactive -t --tty --rm --read-only -v --volume --mount --tmpfs --device --cap-add --cap-drop --privileged --security-opt --userns --ulimit --sysctl --shm-size --oom-score-adj -P --publish-all --expose --pid --ipc --pod --pod-init --log-opt --network --network-alias --ip --ip6 --mac-address -p --publish --add-host --dns --dns-search --dns-option -m --memory --memory-high --memory-swap --cpus --cpu-weight --cpuset-cpus --cpuset-mems --pids-limit --io-weight --io-max --oom-group --restart --help" ;;
	"start") echo "-a --attach -i --interactive --detach-keys --sig-proxy --help" ;;
	"stop") echo "-t --time --help" ;;
	"restart") echo "-t --time --help" ;;
	"kill") echo "-s --signal --help" ;;
	"pause") echo "--help" ;;
	"unpause") echo "--help" ;;
	"exec") echo "-i --interactive -t --tty -d --detach -e --env --env-file -w --workdir -u --user --privileged --timeout --detach-keys --sig-proxy --help" ;;
	"cp") echo "-a --archive -L --follow-link -q --quiet --help" ;;
	"attach") echo "--no-stdin --detach-keys --sig-proxy --help" ;;
	"wait") echo "--condition --format --help" ;;
	"rename") echo "--help" ;;
	"update") echo "-m --memory --memory-high --memory-swap --cpus --cpu-weight --cpuset-cpus --cpuset-mems --pids-limit --io-weight --io-max --oom-group --restart --help" ;;
	"rebuild") echo "-t --time --help" ;;
	"rm") echo "-f --force -s --stop -v --volumes --help" ;;
	"ps") echo "-a --all -f --filter -n --last -l --latest --all-projects --format -q --quiet --no-trunc --help" ;;
	"inspect") echo "-f --format --help" ;;
	"logs") echo "-f --follow -n --tail --since --until -t --timestamps --stdout --stderr --help" ;;
	"diff") echo "--format --help" ;;
	"top") echo "--format -q --quiet --no-trunc --help" ;;
	"port") echo "--format --help" ;;
	"stats") echo "--no-stream --format -q --quiet --no-trunc --help" ;;
	"events") echo "--since --until -f --filter --format --help" ;;
	"actions") echo "-n --last --format -q --quiet --no-trunc --help" ;;
	"pod create") echo "--name --hostname --share-pid -l --label --label-file --sysctl --shm-size --network --network-alias --ip --ip6 --mac-address -p --publish --add-host --dns --dns-search --dns-option -m --memory --memory-high --memory-swap --cpus --cpu-weight --cpuset-cpus --cpuset-mems --pids-limit --io-weight --io-max --oom-group --help" ;;
	"pod ls") echo "-f --filter --all-projects --format -q --quiet --no-trunc --help" ;;
	"pod inspect") echo "-f --format --help" ;;
	"pod rm") echo "-f --force --help" ;;
	"pull") echo "--platform --tls-verify --authfile -q --quiet --format --help" ;;
	"push") echo "--tls-verify --authfile -q --quiet --format --help" ;;
	"login") echo "-u --username --password-stdin --authfile --help" ;;
	"logout") echo "--authfile --help" ;;
	"commit") echo "-m --message -a --author -c --change -p --pause -q --quiet --format --help" ;;
	"image import") echo "-t --name -q --quiet --help" ;;
	"load") echo "-i --input -t --name -q --quiet --help" ;;
	"image export") echo "-o --output --format -q --quiet --help" ;;
	"save") echo "-o --output --format -q --quiet --help" ;;
	"image ls") echo "-a --all --digests -f --filter --format -q --quiet --no-trunc --help" ;;
	"image inspect") echo "-f --format --help" ;;
	"image tag") echo "--help" ;;
	"image history") echo "--format -q --quiet --no-trunc --help" ;;
	"image prune") echo "-a --all -f --force --filter --format --help" ;;
	"image verify") echo "--quick -q --quiet --format --help" ;;
	"image rm") echo "-f --force --help" ;;
	"network create") echo "-d --driver -o --opt --subnet --gateway --ip-range --aux-address --dns --dns-search --mtu --internal --masquerade --shared -l --label --ipv6 --ipv4 --attachable --help" ;;
	"network ls") echo "-f --filter --all-projects --format -q --quiet --no-trunc --help" ;;
	"network inspect") echo "-f --format --help" ;;
	"network drivers") echo "--format -q --quiet --no-trunc --help" ;;
	"network update") echo "--dns --dns-search --help" ;;
	"network limit") echo "--rate-in --rate-out --help" ;;
	"network connect") echo "--ip --ip6 --link --mac --alias --help" ;;
	"network disconnect") echo "--help" ;;
	"network rm") echo "-f --force --help" ;;
	"network prune") echo "--filter -f --force --help" ;;
	"security-group create") echo "-d --description -l --label --empty --help" ;;
	"security-group ls") echo "-f --filter --all-projects --format -q --quiet --no-trunc --help" ;;
	"security-group inspect") echo "-f --format --help" ;;
	"security-group rm") echo "--help" ;;
	"security-group rule-add") echo "--ingress --egress -p --protocol --port --icmp-type --remote --ethertype --description --help" ;;
	"security-group rule-ls") echo "--format -q --quiet --no-trunc --help" ;;
	"security-group rule-rm") echo "--help" ;;
	"security-group set") echo "--none --spoof --help" ;;
	"floating-ip pool-create") echo "--range --link --shared --help" ;;
	"floating-ip pool-ls") echo "--all-projects --format -q --quiet --no-trunc --help" ;;
	"floating-ip pool-rm") echo "--help" ;;
	"floating-ip allocate") echo "--pool --ip --help" ;;
	"floating-ip ls") echo "--all-projects --format -q --quiet --no-trunc --help" ;;
	"floating-ip associate") echo "--help" ;;
	"floating-ip disassociate") echo "--help" ;;
	"floating-ip release") echo "--help" ;;
	"volume create") echo "-d --driver --size -l --label -o --opt --help" ;;
	"volume ls") echo "-f --filter --all-projects --format -q --quiet --no-trunc --help" ;;
	"volume inspect") echo "-f --format --help" ;;
	"volume update") echo "--size --help" ;;
	"volume rm") echo "-f --force --help" ;;
	"volume prune") echo "-a --all --filter -f --force --help" ;;
	"token create") echo "-u --user -p --project -r --role -e --expires --format --help" ;;
	"token ls") echo "--format -q --quiet --no-trunc --help" ;;
	"token revoke") echo "--help" ;;
	"token check") echo "--format --help" ;;
	"info") echo "-f --format --help" ;;
	"check") echo "-f --format --help" ;;
	"system df") echo "-v --verbose --format --help" ;;
	"upgrade") echo "--help" ;;
	"shutdown") echo "--help" ;;
	"version") echo "-f --format --help" ;;
	"completion") echo "--help" ;;
	"help") echo "--help" ;;
	esac
}

_berth_value() {
	case $1 in
	" --socket") echo "file" ;;
	" --project") echo "-" ;;
	" --token-file") echo "file" ;;
	"run --name") echo "-" ;;
	"run --cidfile") echo "file" ;;
	"run --detach-keys") echo "-" ;;
	"run --pull") echo "always missing never" ;;
	"run --platform") echo "-" ;;
	"run --authfile") echo "file" ;;
	"run --env"|"run -e") echo "-" ;;
	"run --env-file") echo "file" ;;
	"run --workdir"|"run -w") echo "-" ;;
	"run --user"|"run -u") echo "-" ;;
	"run --label"|"run -l") echo "-" ;;
	"run --label-file") echo "file" ;;
	"run --hostname"|"run -h") echo "-" ;;
	"run --entrypoint") echo "-" ;;
	"run --stop-signal") echo "-" ;;
	"run --stop-timeout") echo "-" ;;
	"run --volume"|"run -v") echo "dir" ;;
	"run --mount") echo "-" ;;
	"run --tmpfs") echo "-" ;;
	"run --device") echo "file" ;;
	"run --cap-add") echo "-" ;;
	"run --cap-drop") echo "-" ;;
	"run --security-opt") echo "-" ;;
	"run --userns") echo "auto host" ;;
	"run --ulimit") echo "-" ;;
	"run --sysctl") echo "-" ;;
	"run --shm-size") echo "-" ;;
	"run --oom-score-adj") echo "-" ;;
	"run --expose") echo "-" ;;
	"run --pid") echo "host private" ;;
	"run --ipc") echo "host private" ;;
	"run --pod") echo "pod" ;;
	"run --log-opt") echo "-" ;;
	"run --network") echo "network" ;;
	"run --network-alias") echo "-" ;;
	"run --ip") echo "-" ;;
	"run --ip6") echo "-" ;;
	"run --mac-address") echo "-" ;;
	"run --publish"|"run -p") echo "-" ;;
	"run --add-host") echo "-" ;;
	"run --dns") echo "-" ;;
	"run --dns-search") echo "-" ;;
	"run --dns-option") echo "-" ;;
	"run --memory"|"run -m") echo "-" ;;
	"run --memory-high") echo "-" ;;
	"run --memory-swap") echo "-" ;;
	"run --cpus") echo "-" ;;
	"run --cpu-weight") echo "-" ;;
	"run --cpuset-cpus") echo "-" ;;
	"run --cpuset-mems") echo "-" ;;
	"run --pids-limit") echo "-" ;;
	"run --io-weight") echo "-" ;;
	"run --io-max") echo "file" ;;
	"run --restart") echo "no on-failure always unless-stopped" ;;
	"create --name") echo "-" ;;
	"create --cidfile") echo "file" ;;
	"create --pull") echo "always missing never" ;;
	"create --platform") echo "-" ;;
	"create --authfile") echo "file" ;;
	"create --env"|"create -e") echo "-" ;;
	"create --env-file") echo "file" ;;
	"create --workdir"|"create -w") echo "-" ;;
	"create --user"|"create -u") echo "-" ;;
	"create --label"|"create -l") echo "-" ;;
	"create --label-file") echo "file" ;;
	"create --hostname"|"create -h") echo "-" ;;
	"create --entrypoint") echo "-" ;;
	"create --stop-signal") echo "-" ;;
	"create --stop-timeout") echo "-" ;;
	"create --volume"|"create -v") echo "dir" ;;
	"create --mount") echo "-" ;;
	"create --tmpfs") echo "-" ;;
	"create --device") echo "file" ;;
	"create --cap-add") echo "-" ;;
	"create --cap-drop") echo "-" ;;
	"create --security-opt") echo "-" ;;
	"create --userns") echo "auto host" ;;
	"create --ulimit") echo "-" ;;
	"create --sysctl") echo "-" ;;
	"create --shm-size") echo "-" ;;
	"create --oom-score-adj") echo "-" ;;
	"create --expose") echo "-" ;;
	"create --pid") echo "host private" ;;
	"create --ipc") echo "host private" ;;
	"create --pod") echo "pod" ;;
	"create --log-opt") echo "-" ;;
	"create --network") echo "network" ;;
	"create --network-alias") echo "-" ;;
	"create --ip") echo "-" ;;
	"create --ip6") echo "-" ;;
	"create --mac-address") echo "-" ;;
	"create --publish"|"create -p") echo "-" ;;
	"create --add-host") echo "-" ;;
	"create --dns") echo "-" ;;
	"create --dns-search") echo "-" ;;
	"create --dns-option") echo "-" ;;
	"create --memory"|"create -m") echo "-" ;;
	"create --memory-high") echo "-" ;;
	"create --memory-swap") echo "-" ;;
	"create --cpus") echo "-" ;;
	"create --cpu-weight") echo "-" ;;
	"create --cpuset-cpus") echo "-" ;;
	"create --cpuset-mems") echo "-" ;;
	"create --pids-limit") echo "-" ;;
	"create --io-weight") echo "-" ;;
	"create --io-max") echo "file" ;;
	"create --restart") echo "no on-failure always unless-stopped" ;;
	"start --detach-keys") echo "-" ;;
	"stop --time"|"stop -t") echo "-" ;;
	"restart --time"|"restart -t") echo "-" ;;
	"kill --signal"|"kill -s") echo "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP" ;;
	"exec --env"|"exec -e") echo "-" ;;
	"exec --env-file") echo "file" ;;
	"exec --workdir"|"exec -w") echo "-" ;;
	"exec --user"|"exec -u") echo "-" ;;
	"exec --timeout") echo "-" ;;
	"exec --detach-keys") echo "-" ;;
	"attach --detach-keys") echo "-" ;;
	"wait --condition") echo "not-running next-exit removed" ;;
	"wait --format") echo "json table" ;;
	"update --memory"|"update -m") echo "-" ;;
	"update --memory-high") echo "-" ;;
	"update --memory-swap") echo "-" ;;
	"update --cpus") echo "-" ;;
	"update --cpu-weight") echo "-" ;;
	"update --cpuset-cpus") echo "-" ;;
	"update --cpuset-mems") echo "-" ;;
	"update --pids-limit") echo "-" ;;
	"update --io-weight") echo "-" ;;
	"update --io-max") echo "file" ;;
	"update --restart") echo "no on-failure always unless-stopped" ;;
	"rebuild --time"|"rebuild -t") echo "-" ;;
	"ps --filter"|"ps -f") echo "name= id= label= state= status= pod= image= exited= volume= network= before= since=" ;;
	"ps --last"|"ps -n") echo "-" ;;
	"ps --format") echo "json table" ;;
	"inspect --format"|"inspect -f") echo "json" ;;
	"logs --tail"|"logs -n") echo "-" ;;
	"logs --since") echo "-" ;;
	"logs --until") echo "-" ;;
	"diff --format") echo "json table" ;;
	"top --format") echo "json table" ;;
	"port --format") echo "json table" ;;
	"stats --format") echo "json table" ;;
	"events --since") echo "-" ;;
	"events --until") echo "-" ;;
	"events --filter"|"events -f") echo "container= type= event= kind= label= pod= image=" ;;
	"events --format") echo "json table" ;;
	"actions --last"|"actions -n") echo "-" ;;
	"actions --format") echo "json table" ;;
	"pod create --name") echo "-" ;;
	"pod create --hostname") echo "-" ;;
	"pod create --label"|"pod create -l") echo "-" ;;
	"pod create --label-file") echo "file" ;;
	"pod create --sysctl") echo "-" ;;
	"pod create --shm-size") echo "-" ;;
	"pod create --network") echo "network" ;;
	"pod create --network-alias") echo "-" ;;
	"pod create --ip") echo "-" ;;
	"pod create --ip6") echo "-" ;;
	"pod create --mac-address") echo "-" ;;
	"pod create --publish"|"pod create -p") echo "-" ;;
	"pod create --add-host") echo "-" ;;
	"pod create --dns") echo "-" ;;
	"pod create --dns-search") echo "-" ;;
	"pod create --dns-option") echo "-" ;;
	"pod create --memory"|"pod create -m") echo "-" ;;
	"pod create --memory-high") echo "-" ;;
	"pod create --memory-swap") echo "-" ;;
	"pod create --cpus") echo "-" ;;
	"pod create --cpu-weight") echo "-" ;;
	"pod create --cpuset-cpus") echo "-" ;;
	"pod create --cpuset-mems") echo "-" ;;
	"pod create --pids-limit") echo "-" ;;
	"pod create --io-weight") echo "-" ;;
	"pod create --io-max") echo "file" ;;
	"pod ls --filter"|"pod ls -f") echo "name= id= state= label=" ;;
	"pod ls --format") echo "json table" ;;
	"pod inspect --format"|"pod inspect -f") echo "json" ;;
	"pull --platform") echo "-" ;;
	"pull --authfile") echo "file" ;;
	"pull --format") echo "json table" ;;
	"push --authfile") echo "file" ;;
	"push --format") echo "json table" ;;
	"login --username"|"login -u") echo "-" ;;
	"login --authfile") echo "file" ;;
	"logout --authfile") echo "file" ;;
	"commit --message"|"commit -m") echo "-" ;;
	"commit --author"|"commit -a") echo "-" ;;
	"commit --change"|"commit -c") echo "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR" ;;
	"commit --format") echo "json table" ;;
	"image import --name"|"image import -t") echo "-" ;;
	"load --input"|"load -i") echo "file" ;;
	"load --name"|"load -t") echo "-" ;;
	"image export --output"|"image export -o") echo "file" ;;
	"image export --format") echo "oci-archive oci-dir docker-archive" ;;
	"save --output"|"save -o") echo "file" ;;
	"save --format") echo "oci-archive oci-dir docker-archive" ;;
	"image ls --filter"|"image ls -f") echo "name= reference= id= label= dangling= before= since=" ;;
	"image ls --format") echo "json table" ;;
	"image inspect --format"|"image inspect -f") echo "json" ;;
	"image history --format") echo "json table" ;;
	"image prune --filter") echo "until= label= label!=" ;;
	"image prune --format") echo "json table" ;;
	"image verify --format") echo "json table" ;;
	"network create --driver"|"network create -d") echo "routed bridge macvlan ipvlan phys" ;;
	"network create --opt"|"network create -o") echo "parent= mode= mtu=" ;;
	"network create --subnet") echo "-" ;;
	"network create --gateway") echo "-" ;;
	"network create --ip-range") echo "-" ;;
	"network create --aux-address") echo "-" ;;
	"network create --dns") echo "-" ;;
	"network create --dns-search") echo "-" ;;
	"network create --mtu") echo "-" ;;
	"network create --label"|"network create -l") echo "-" ;;
	"network ls --filter"|"network ls -f") echo "name= id= driver= label= dangling=" ;;
	"network ls --format") echo "json table" ;;
	"network inspect --format"|"network inspect -f") echo "json" ;;
	"network drivers --format") echo "json table" ;;
	"network update --dns") echo "-" ;;
	"network update --dns-search") echo "-" ;;
	"network limit --rate-in") echo "-" ;;
	"network limit --rate-out") echo "-" ;;
	"network connect --ip") echo "-" ;;
	"network connect --ip6") echo "-" ;;
	"network connect --link") echo "-" ;;
	"network connect --mac") echo "-" ;;
	"network connect --alias") echo "-" ;;
	"network prune --filter") echo "label=" ;;
	"security-group create --description"|"security-group create -d") echo "-" ;;
	"security-group create --label"|"security-group create -l") echo "-" ;;
	"security-group ls --filter"|"security-group ls -f") echo "name= label=" ;;
	"security-group ls --format") echo "json table" ;;
	"security-group inspect --format"|"security-group inspect -f") echo "json" ;;
	"security-group rule-add --protocol"|"security-group rule-add -p") echo "tcp udp sctp icmp icmpv6 any" ;;
	"security-group rule-add --port") echo "-" ;;
	"security-group rule-add --icmp-type") echo "-" ;;
	"security-group rule-add --remote") echo "security-group" ;;
	"security-group rule-add --ethertype") echo "ipv4 ipv6" ;;
	"security-group rule-add --description") echo "-" ;;
	"security-group rule-ls --format") echo "json table" ;;
	"security-group set --spoof") echo "yes no" ;;
	"floating-ip pool-create --range") echo "-" ;;
	"floating-ip pool-create --link") echo "-" ;;
	"floating-ip pool-ls --format") echo "json table" ;;
	"floating-ip allocate --pool") echo "-" ;;
	"floating-ip allocate --ip") echo "-" ;;
	"floating-ip ls --format") echo "json table" ;;
	"volume create --driver"|"volume create -d") echo "plain sized tmpfs" ;;
	"volume create --size") echo "-" ;;
	"volume create --label"|"volume create -l") echo "-" ;;
	"volume create --opt"|"volume create -o") echo "-" ;;
	"volume ls --filter"|"volume ls -f") echo "name= label= driver= dangling=" ;;
	"volume ls --format") echo "json table" ;;
	"volume inspect --format"|"volume inspect -f") echo "json" ;;
	"volume update --size") echo "-" ;;
	"volume prune --filter") echo "label=" ;;
	"token create --user"|"token create -u") echo "-" ;;
	"token create --project"|"token create -p") echo "-" ;;
	"token create --role"|"token create -r") echo "member admin" ;;
	"token create --expires"|"token create -e") echo "-" ;;
	"token create --format") echo "json table" ;;
	"token ls --format") echo "json table" ;;
	"token check --format") echo "json table" ;;
	"info --format"|"info -f") echo "json table" ;;
	"check --format"|"check -f") echo "json table" ;;
	"system df --format") echo "json table" ;;
	"version --format"|"version -f") echo "json table" ;;
	esac
}

_berth_operand() {
	case $1 in
	"run") echo "image once" ;;
	"create") echo "image once" ;;
	"start") echo "container" ;;
	"stop") echo "container" ;;
	"restart") echo "container" ;;
	"kill") echo "container" ;;
	"pause") echo "container" ;;
	"unpause") echo "container" ;;
	"exec") echo "container once" ;;
	"cp") echo "copy" ;;
	"attach") echo "container" ;;
	"wait") echo "container" ;;
	"rename") echo "container" ;;
	"update") echo "container" ;;
	"rebuild") echo "container" ;;
	"rm") echo "container" ;;
	"inspect") echo "container" ;;
	"logs") echo "container" ;;
	"diff") echo "container" ;;
	"top") echo "container" ;;
	"port") echo "container" ;;
	"stats") echo "container" ;;
	"actions") echo "container" ;;
	"pod inspect") echo "pod" ;;
	"pod rm") echo "pod" ;;
	"pull") echo "image" ;;
	"push") echo "image" ;;
	"commit") echo "container" ;;
	"image import") echo "file" ;;
	"image export") echo "image" ;;
	"save") echo "image" ;;
	"image ls") echo "image" ;;
	"image inspect") echo "image" ;;
	"image tag") echo "image" ;;
	"image history") echo "image" ;;
	"image verify") echo "image" ;;
	"image rm") echo "image" ;;
	"network inspect") echo "network" ;;
	"network update") echo "network" ;;
	"network limit") echo "container" ;;
	"network connect") echo "network" ;;
	"network disconnect") echo "network" ;;
	"network rm") echo "network" ;;
	"security-group inspect") echo "security-group" ;;
	"security-group rm") echo "security-group" ;;
	"security-group rule-add") echo "security-group" ;;
	"security-group rule-ls") echo "security-group" ;;
	"security-group rule-rm") echo "security-group" ;;
	"security-group set") echo "container" ;;
	"volume inspect") echo "volume" ;;
	"volume update") echo "volume" ;;
	"volume rm") echo "volume" ;;
	"token revoke") echo "token" ;;
	"upgrade") echo "file" ;;
	"completion") echo "bash zsh" ;;
	"help") echo "command" ;;
	esac
}

_berth_names() {
	case $1 in
	container) berth "${_berth_global[@]}" ps -a --format '{{.meta.name}}' 2>/dev/null ;;
	image) berth "${_berth_global[@]}" image ls 2>/dev/null | while read -r name _; do
		[[ $name == *:* ]] && echo "$name" "${name#docker.io/library/}"
	done ;;
	pod) berth "${_berth_global[@]}" pod ls --format '{{.meta.name}}' 2>/dev/null ;;
	volume) berth "${_berth_global[@]}" volume ls -q 2>/dev/null ;;
	network) berth "${_berth_global[@]}" network ls --format '{{.meta.name}}' 2>/dev/null ;;
	security-group) berth "${_berth_global[@]}" security-group ls --format '{{.meta.name}}' 2>/dev/null ;;
	token) berth "${_berth_global[@]}" token ls -q 2>/dev/null ;;
	command) _berth_commands "" ;;
	*) echo "$1" ;;
	esac
}

_berth_offer() {
	case $1 in
	file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
	copy)
		[[ $2 == [!./]*:* ]] && return
		mapfile -t COMPREPLY < <(compgen -f -- "$2"; compgen -W "$(_berth_names container)" -S : -- "$2")
		if [[ ${COMPREPLY[0]} == *: ]]; then compopt -o nospace; else compopt -o filenames; fi ;;
	-) COMPREPLY=() ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(_berth_names "$1")" -- "$2")
		if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi ;;
	esac
}

# Words as the shell sees them, not as readline cuts them at = and :
_berth() {
	local line=${COMP_LINE:0:COMP_POINT} words cur prev command= operands=0 i word kind next follows=
	read -r -a words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	cur=${words[-1]} prev=${words[-2]}
	_berth_global=()
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		if [[ $follows ]]; then break; fi
		case $word in
		--) [[ $command ]] && operands=99 ;;
		-*)
			if [[ $word != *=* && $(_berth_value "$command $word") ]]; then
				[[ $command ]] || _berth_global+=("$word" "${words[i+1]}")
				((i++))
			elif [[ -z $command ]]; then
				_berth_global+=("$word")
			fi ;;
		*)
			if ((!operands)) && next=$(_berth_resolve "${command:+$command }$word"); then
				command=$next
			else
				((operands++))
				[[ $(_berth_operand "$command") == *' once' ]] && follows=1
			fi ;;
		esac
	done
	kind=$(_berth_value "$command $prev")
	if [[ $follows ]]; then
		_berth_offer file "$cur"
	elif [[ $kind && $prev == -* ]]; then
		_berth_offer "$kind" "$cur"
	elif [[ $cur == --*=* ]]; then
		_berth_offer "$(_berth_value "$command ${cur%%=*}")" "${cur#*=}"
		[[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/${cur%%=*}=}")
	elif [[ $cur == -* ]]; then
		_berth_offer "$(_berth_flags "$command")" "$cur"
	elif ((!operands)) && [[ $(_berth_commands "$command") ]]; then
		_berth_offer "$(_berth_commands "$command")" "$cur"
	else
		kind=$(_berth_operand "$command")
		_berth_offer "${kind% once}" "$cur"
	fi
	# What readline takes for a word of its own is not repeated.
	if [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
	fi
}

complete -F _berth berth
