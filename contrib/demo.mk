# demo: see it work, as root on a fresh Debian 12.
demo:
	@B=$(B) contrib/demo.sh

.PHONY: demo
