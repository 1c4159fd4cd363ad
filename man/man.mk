# Manual pages, written in scdoc. The command reference of berth(1) and the shell completions come out of the tool's own tables.
#
#   make man            build/man/*
#   make completions    writes contrib/completions anew (committed; check-completions says when they are behind)

MAN_NAMES := berth.1 berthd.8 berth-gateway.8 berthd.conf.5 berth-protocol.7
MAN_PAGES := $(MAN_NAMES:%=$(B)/man/%)

man: $(MAN_PAGES)

$(B)/man/berth.1.scd: man/berth.1.scd $(B)/berth
	@mkdir -p $(@D)
	$(Q)$(B)/berth completion man >$@.commands
	$(Q)sed -e '/^@COMMANDS@$$/{' -e 'r $@.commands' -e 'd' -e '}' $< >$@

$(B)/man/berth.1: $(B)/man/berth.1.scd
	$(call say,MAN,$@)
	$(Q)scdoc <$< >$@

$(B)/man/%: man/%.scd
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)scdoc <$< >$@

COMPLETIONS := bash:berth.bash zsh:_berth

completions: $(B)/berth
	$(Q)$(foreach c,$(COMPLETIONS),$(B)/berth completion $(firstword $(subst :, ,$(c))) >contrib/completions/$(lastword $(subst :, ,$(c))) &&) :

check-completions: $(B)/berth
	$(Q)$(foreach c,$(COMPLETIONS),$(B)/berth completion $(firstword $(subst :, ,$(c))) | cmp - contrib/completions/$(lastword $(subst :, ,$(c))) \
		|| { echo 'contrib/completions is behind ctl: make completions' >&2; exit 1; } &&) bash -n contrib/completions/berth.bash

check-system: check-completions

.PHONY: man completions check-completions
