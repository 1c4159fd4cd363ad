# Checks which folder includes which: base <- proto <- {cgroup, image} <- {supervisor, shim, job}; net, dns, ctl and gateway see base and
# proto alone; supervisor and shim never include each other; of image, berthd has the references, the changes to a config and the layout of the store only (image/
# needs libraries that may block), berth and berth-fetch the references and credentials. In the gateway the core knows no dialect but for the list in main.c, and no dialect another; HTTP is
# server.c's. The libraries and logging stay where HACKING.md says.

BEGIN {
	may["base"] = "base"
	may["proto"] = "base proto"
	may["cgroup"] = "base proto cgroup"
	may["image"] = "base proto image"
	may["supervisor"] = "base proto cgroup supervisor"
	may["shim"] = "base proto shim"
	may["job"] = "base proto image job"
	may["fetch"] = "base proto fetch"
	may["net"] = "base proto net"
	may["dns"] = "base proto dns"
	may["ctl"] = "base proto ctl"
	may["gateway"] = "base proto gateway"
	only["libcgroup.h"] = "cgroup"
	only["sqlite3.h"] = "supervisor"
	only["archive.h"] = "image"
	only["curl/curl.h"] = "fetch"
	only["libmnl/libmnl.h"] = "net"
	only["nftables/libnftables.h"] = "net"
	only["seccomp.h"] = "supervisor"
	only["libsmartcols/libsmartcols.h"] = "ctl"
}

function wrong(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split(FILENAME, here, "/")
	split($0, part, "\"")
	n = split(part[2], there, "/")
	if (n < 2)
		wrong("include \"" part[2] "\" by its path from the top")
	else if (here[1] == "supervisor" && part[2] ~ /^image\/(reference|store|change)\.h$/)
		next
	else if (here[1] ~ /^(fetch|ctl)$/ && part[2] ~ /^image\/(reference|authfile)\.h$/)
		next
	else if (FILENAME == "fetch/http.c" && part[2] == "image/space.h")
		next
	else if (!index(" " may[here[1]] " ", " " there[1] " "))
		wrong(here[1] "/ may not include " part[2])
	else if (there[1] == "gateway" && n == 3 && FILENAME != "gateway/main.c" && here[2] != there[2])
		wrong("only main.c and the dialect itself may include " part[2])
	if (part[2] == "base/log.h" && FILENAME != "base/log.c" && here[1] ~ /^(base|proto|cgroup|image)$/)
		wrong(here[1] "/ does not log: it returns errors")
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	split(FILENAME, here, "/")
	name = $0
	sub(/^[^<]*</, "", name)
	sub(/>.*/, "", name)
	if (name in only && here[1] != only[name])
		wrong("<" name "> belongs to " only[name] "/")
	if (name == "microhttpd.h" && FILENAME != "gateway/server.c")
		wrong("<" name "> belongs to gateway/server.c")
}

END {
	exit bad
}
