# check-system: the real programs in private namespaces, as root. T=name runs the tests whose name contains it.

GUEST_CFLAGS := -std=gnu17 -D_GNU_SOURCE -O1 -g $(WARN) -static
JOBS ?= $(if $(T),1,2)
SLOW ?= 1

$(B)/guest: tests/guest.c
	@mkdir -p $(@D)
	$(call say,CC,$< (static))
	$(Q)$(CC) $(GUEST_CFLAGS) -o $@ $<

# musl's resolver, as in Alpine's images: other than glibc's it asks all servers at once.
$(B)/resolve: tests/resolve.c
	@mkdir -p $(@D)
	$(call say,CC,$< (musl))
	$(Q)$(MUSL_CC) -std=gnu17 -D_GNU_SOURCE -Os $(WARN) -static -o $@ $<

check-system: $(PROGRAMS) $(B)/guest $(B)/resolve
	BERTH_BIN=$(B) BERTH_SLOW=$(SLOW) BERTH_JOBS=$(JOBS) tests/system/run -q $(if $(T),-k '$(T)')

# The long kill campaign; its record goes to tests/campaigns/. KILLS=n SEED=n
KILLS ?= 1000
soak: $(PROGRAMS) $(B)/guest $(B)/resolve
	BERTH_BIN=$(B) BERTH_SLOW=$(SLOW) BERTH_KILLS=$(KILLS) $(if $(SEED),BERTH_SEED=$(SEED)) \
		BERTH_CAMPAIGN=$(CURDIR)/tests/campaigns/$(shell date -u +%Y-%m-%d)-kill.md tests/system/run -q -s -k soak_kills

# Images pulled, run and removed; CYCLES=n
CYCLES ?= 1000
soak-images: $(PROGRAMS) $(B)/guest $(B)/resolve
	BERTH_BIN=$(B) BERTH_SLOW=$(SLOW) BERTH_CYCLES=$(CYCLES) \
		BERTH_CAMPAIGN=$(CURDIR)/tests/campaigns/$(shell date -u +%Y-%m-%d)-pull.md tests/system/run -q -s -k soak_images

# Power cuts in mid-pull; CUTS=n SEED=n
CUTS ?= 60
soak-power: $(PROGRAMS) $(B)/guest $(B)/resolve
	BERTH_BIN=$(B) BERTH_SLOW=$(SLOW) BERTH_CUTS=$(CUTS) BERTH_CUT_IMAGES=8 $(if $(SEED),BERTH_SEED=$(SEED)) \
		BERTH_CAMPAIGN=$(CURDIR)/tests/campaigns/$(shell date -u +%Y-%m-%d)-power.md tests/system/run -q -s -k soak_power

# Networks attached and detached at random under kill -9; OPERATIONS=n SEED=n
OPERATIONS ?= 10000
soak-networks: $(PROGRAMS) $(B)/guest
	BERTH_BIN=$(B) BERTH_SLOW=$(SLOW) BERTH_OPERATIONS=$(OPERATIONS) $(if $(SEED),BERTH_SEED=$(SEED)) \
		BERTH_CAMPAIGN=$(CURDIR)/tests/campaigns/$(shell date -u +%Y-%m-%d)-networks.md tests/system/run -q -s -k soak_networks

.PHONY: check-system soak soak-images soak-power soak-networks
