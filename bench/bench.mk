# bench: berth beside crun, runc and podman on this machine, as root. Writes bench/RESULTS.md. The driver speaks the protocol
# itself and the floor is what the kernel alone takes.

$(B)/bench/floor: bench/floor.c bench/samples.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(B)/bench/driver: $(B)/o/bench/driver.o $(call objects,base proto) $(GEN_OBJS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call pc,--libs,libprotobuf-c)

$(B)/bench/http: bench/http.c bench/samples.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

# The program that is measured by all. With musl main() is 20 us after the first instruction; glibc asks the processor for its features
# before, some sixty times, which in a virtual machine leads out of it each time: a quarter of a millisecond that is nobody's but its own.
$(B)/bench/guest: tests/guest.c
	@mkdir -p $(@D)
	$(call say,CC,$< (musl))
	$(Q)$(MUSL_CC) -std=gnu17 -D_GNU_SOURCE -Dstrerrorname_np=strerror -O1 -g $(WARN) -static -idirafter /usr/include \
		-idirafter /usr/include/$(shell uname -m)-linux-gnu -o $@ $<

BENCH_TOOLS := crun runc podman conmon docker-registry skopeo umoci iperf3 iptables netavark
bench: $(PROGRAMS) $(B)/bench/guest $(B)/bench/floor $(B)/bench/driver $(B)/bench/http
	@missing=; for t in $(BENCH_TOOLS); do command -v $$t >/dev/null || [ -x /usr/lib/podman/$$t ] || missing="$$missing $$t"; done; \
		[ -z "$$missing" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing || \
		echo "bench: without$$missing, which could not be installed"
	bench/run $(B) $(BENCH)

.PHONY: bench
