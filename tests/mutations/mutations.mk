# soak-mutations: one mechanism after the other is taken out of a copy of the tree, and the tests that claim to prove it must fail, for the
# reason meant (tests/mutations/mutations.py). As root, natively; VM=1: those that need a machine of their own. T=pattern, of a mutation's name;
# without it a record is written.
soak-mutations: $(PROGRAMS) $(B)/guest
	BERTH_BIN=$(B) BERTH_SLOW=$(SLOW) BERTH_MUTATIONS_VM=$(VM) tests/mutations/run \
		$(if $(T),'$(T)',--record tests/campaigns/$(shell date -u +%Y-%m-%d)-mutations$(if $(VM),-vm).md)

# Whether all of them still apply: a second, so it goes with the unit tests.
check-mutations:
	$(call say,MUTATE,)
	@tests/mutations/run --check

.PHONY: soak-mutations check-mutations
