/* tests/fuzz/fuzz_check.c - any bytes as a container's spec: refused with a field and words, or a spec that is complete, has no
 * ".." in any path, packs again, and stays the same when it is checked again. */
#include "base/str.h"
#include "cgroup/tree.h"
#include "proto/envelope.h"
#include "supervisor/check.h"
#include "supervisor/seccomp.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int condition)
{
	if (!condition)
		abort();
}

static uint8_t *pack(const Berth__ContainerSpec *spec, size_t *len)
{
	uint8_t *data;

	*len = berth__container_spec__get_packed_size(spec);
	data = malloc(*len + 1);
	require(data && berth__container_spec__pack(spec, data) == *len);
	return data;
}

static void is_good(struct supervisor *sv, Berth__ContainerSpec *spec)
{
	struct err e;
	size_t n, n_again;
	uint8_t *once, *again;

	require(spec->image && *spec->image && spec->restart && spec->log && spec->security &&
		spec->has_stop_timeout_s);
	require(!spec->workdir || str_is_clean_path(spec->workdir));
	for (size_t i = 0; i < spec->n_mounts; i++)
		require(str_is_clean_path(spec->mounts[i]->target));
	once = pack(spec, &n);
	require(message_check_packed(&berth__container_spec__descriptor, once, n));
	if (!spec->pod && !spec->ipc_mode) { /* there the default of shm_size_bytes counts as chosen the second time */
		require(check_container_spec(sv, spec, &e) == 0);
		again = pack(spec, &n_again);
		require(n == n_again && !memcmp(once, again, n));
		free(again);
	}
	free(once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct supervisor sv = {.cg.controllers = CG_WANTED};
	Berth__ContainerSpec *spec = message_unpack(&berth__container_spec__descriptor, data, len);
	struct err e = {0};
	int r;

	if (!spec)
		return 0;
	require(seccomp_cache_new(&sv.seccomp) == 0);
	r = check_container_spec(&sv, spec, &e);
	if (r == 0)
		is_good(&sv, spec);
	else
		require(e.code == -r && *e.step && *e.text);
	berth__container_spec__free_unpacked(spec, NULL);
	seccomp_cache_free(sv.seccomp);
	return 0;
}
