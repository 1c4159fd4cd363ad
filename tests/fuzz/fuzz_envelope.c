/* tests/fuzz/fuzz_envelope.c - any bytes as a record: refused, or a message whose strings are good, which packs again to
 * something that reads the same, and prints. */
#include "proto/envelope.h"
#include "proto/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void again(const Berth__Envelope *env)
{
	size_t len = berth__envelope__get_packed_size(env);
	uint8_t *packed = malloc(len + 1);
	Berth__Envelope *back;

	require(berth__envelope__pack(env, packed) == len);
	require(message_check_packed(&berth__envelope__descriptor, packed, len));
	back = berth__envelope__unpack(NULL, len, packed);
	require(back && back->body_case == env->body_case && berth__envelope__get_packed_size(back) == len);
	berth__envelope__free_unpacked(back, NULL);
	free(packed);
}

static void print(const Berth__Envelope *env, int pretty)
{
	struct buf b;

	buf_init(&b, 0);
	json_message(&b, &env->base, pretty);
	require(!b.failed && b.len >= 2 && b.data[0] == '{' && b.data[b.len - 1] == '}' && strlen(b.data) == b.len);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wire_fds fds = {0};
	Berth__Envelope *env = envelope_unpack(data, len, &fds);

	if (!env)
		return 0;
	require(message_check_strings(&env->base) == 0);
	require(envelope_body_name(env) != NULL);
	again(env);
	print(env, 0);
	print(env, 1);
	berth__envelope__free_unpacked(env, NULL);
	return 0;
}
