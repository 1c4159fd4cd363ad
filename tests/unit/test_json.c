/* tests/unit/test_json.c - a message prints by the rules at the head of berth.proto, and as JSON that others can read. */
#include "tests/unit/unit.h"

#include "proto/berth.pb-c.h"
#include "proto/json.h"

#include <jansson.h>

static char text[16384];

static const char *json(const ProtobufCMessage *m, bool pretty)
{
	struct buf b;

	buf_init(&b, sizeof text - 1);
	json_message(&b, m, pretty);
	assert_false(b.failed);
	memcpy(text, b.data, b.len + 1);
	buf_fini(&b);
	return text;
}

static void strings_are_escaped(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"plain", "\"plain\""},
		{"", "\"\""},
		{NULL, "null"},
		{"\"quoted\"", "\"\\\"quoted\\\"\""},
		{"back\\slash", "\"back\\\\slash\""},
		{"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
		{"\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\""},
		{"/</script>", "\"/</script>\""},
		{"caf\xc3\xa9 \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xf0\x9f\x98\x80\""},
		{"bad\xff", "\"bad\xef\xbf\xbd\""},
		{"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xed\xa0\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""},
	};
	struct buf b;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_init(&b, 0);
		json_quote(&b, rows[i].in);
		if (strcmp(b.data, rows[i].out))
			fail_msg("row %zu: %s", i, b.data);
		buf_fini(&b);
	}
}

static void absent_fields_are_left_out_and_empty_lists_are_not(void **state)
{
	Berth__CheckReply none = BERTH__CHECK_REPLY__INIT;
	Berth__Done done = BERTH__DONE__INIT;
	Berth__InfoRequest empty = BERTH__INFO_REQUEST__INIT;

	assert_string_equal(json(&none.base, false), "{\"items\":[]}");
	assert_string_equal(json(&done.base, false), "{}");
	assert_string_equal(json(&empty.base, true), "{}");
	done.has_revision = true;
	done.text = (char *)"";
	assert_string_equal(json(&done.base, false), "{\"revision\":0,\"text\":\"\"}");
}

static void numbers_keep_all_their_digits(void **state)
{
	Berth__Stats s = BERTH__STATS__INIT;

	s.has_cpu_usec = true;
	s.cpu_usec = UINT64_MAX;
	s.has_cpu_pressure_avg10 = s.has_memory_pressure_avg10 = s.has_io_pressure_avg10 = true;
	s.cpu_pressure_avg10 = 0.1;
	s.memory_pressure_avg10 = 12.5;
	s.io_pressure_avg10 = 1.0 / 3;
	assert_string_equal(
		json(&s.base, false),
		"{\"cpu_usec\":18446744073709551615,\"cpu_pressure_avg10\":0.1,\"memory_pressure_avg10\":12.5,"
		"\"io_pressure_avg10\":0.3333333333333333,\"unavailable\":[],\"interfaces\":[]}");
}

static void a_double_reads_back_as_the_same(void **state)
{
	static const double values[] = {0.1, 1.0 / 3, 2.0 / 3, 1e300, 5e-324, 100, 0, 123456789.123456789};
	Berth__Stats s = BERTH__STATS__INIT;

	s.has_cpu_pressure_avg10 = true;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		s.cpu_pressure_avg10 = values[i];
		assert_row(strtod(strchr(json(&s.base, false), ':') + 1, NULL) == values[i], i);
	}
	s.cpu_pressure_avg10 = __builtin_nan("");
	assert_non_null(strstr(json(&s.base, false), ":null,"));
}

static void negative_numbers_are_negative(void **state)
{
	Berth__ContainerSpec spec = BERTH__CONTAINER_SPEC__INIT;
	Berth__Resources r = BERTH__RESOURCES__INIT;

	r.has_memory_swap_bytes = true;
	r.memory_swap_bytes = -1;
	assert_string_equal(json(&r.base, false), "{\"memory_swap_bytes\":-1,\"io_max\":[]}");
	spec.has_oom_score_adj = true;
	spec.oom_score_adj = -1000;
	assert_non_null(strstr(json(&spec.base, false), "\"oom_score_adj\":-1000"));
}

static void times_are_rfc3339_or_null(void **state)
{
	Berth__Event e = BERTH__EVENT__INIT;
	Berth__Meta m = BERTH__META__INIT;

	e.has_at = true;
	e.at = 1700000000000000001;
	assert_non_null(strstr(json(&e.base, false), "\"at\":\"2023-11-14T22:13:20.000000001Z\""));
	m.has_created_at = m.has_deleted_at = true;
	m.created_at = 1700000000000000000;
	assert_string_equal(
		json(&m.base, false),
		"{\"created_at\":\"2023-11-14T22:13:20.000000000Z\",\"deleted_at\":null,\"finalizers\":[]}");
}

static void enums_lose_their_prefix(void **state)
{
	Berth__ContainerStatus s = BERTH__CONTAINER_STATUS__INIT;
	Berth__RestartPolicy p = BERTH__RESTART_POLICY__INIT;
	char name[32];

	s.has_state = true;
	s.state = BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING;
	assert_string_equal(json(&s.base, false), "{\"state\":\"running\",\"notes\":[]}");
	s.state = (Berth__ContainerState)99;
	assert_string_equal(json(&s.base, false), "{\"state\":99,\"notes\":[]}");
	p.has_kind = true;
	p.kind = BERTH__RESTART_POLICY__KIND__ON_FAILURE;
	assert_string_equal(json(&p.base, false), "{\"kind\":\"on_failure\"}");
	assert_string_equal(
		json_enum_name(&berth__error__code__descriptor, BERTH__ERROR__CODE__NOT_FOUND, name, sizeof name),
		"not_found");
	assert_null(json_enum_name(&berth__error__code__descriptor, 12345, name, sizeof name));
}

static void bytes_are_base64(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {{"", ""},	     {"f", "Zg=="},	   {"fo", "Zm8="},
		    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xfb\xff", "+/8="}};
	Berth__Security s = BERTH__SECURITY__INIT;
	char want[64];

	s.has_seccomp_profile = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		s.seccomp_profile = (ProtobufCBinaryData){strlen(rows[i].in), (uint8_t *)rows[i].in};
		snprintf(want, sizeof want, "\"seccomp_profile\":\"%s\"", rows[i].out);
		assert_row(strstr(json(&s.base, false), want), i);
	}
}

static void key_values_are_an_object_and_the_last_of_a_key_counts(void **state)
{
	Berth__KeyValue kv[4] = {BERTH__KEY_VALUE__INIT, BERTH__KEY_VALUE__INIT, BERTH__KEY_VALUE__INIT,
				 BERTH__KEY_VALUE__INIT};
	Berth__KeyValue *list[4] = {&kv[0], &kv[1], &kv[2], &kv[3]};
	Berth__PodSpec s = BERTH__POD_SPEC__INIT;

	kv[0].key = kv[2].key = (char *)"a";
	kv[0].value = (char *)"1";
	kv[1].key = (char *)"b\"";
	kv[2].value = (char *)"2";
	s.labels = list;
	s.n_labels = 4;
	assert_string_equal(
		json(&s.base, false),
		"{\"labels\":{\"b\\\"\":\"\",\"a\":\"2\",\"\":\"\"},\"sysctls\":{},\"networks\":[],\"ports\":[]}");
}

static void only_the_set_body_is_printed(void **state)
{
	Berth__Envelope e = BERTH__ENVELOPE__INIT;
	Berth__Hello hello = BERTH__HELLO__INIT;

	hello.has_version = true;
	hello.version = 1;
	e.hello = &hello;
	assert_string_equal(json(&e.base, false), "{}");
	e.body_case = BERTH__ENVELOPE__BODY_HELLO;
	assert_string_equal(json(&e.base, false), "{\"hello\":{\"version\":1}}");
}

static void pretty_is_indented_by_two(void **state)
{
	Berth__CheckItem item = BERTH__CHECK_ITEM__INIT;
	Berth__CheckItem *items[] = {&item};
	Berth__CheckReply reply = BERTH__CHECK_REPLY__INIT;

	item.name = (char *)"x";
	item.result = (char *)"ok";
	reply.items = items;
	reply.n_items = 1;
	assert_string_equal(json(&reply.base, true),
			    "{\n  \"items\": [\n    {\n      \"name\": \"x\",\n      \"result\": \"ok\"\n"
			    "    }\n  ]\n}");
}

static void a_list_of_messages_is_an_array(void **state)
{
	Berth__CheckItem a = BERTH__CHECK_ITEM__INIT, b = BERTH__CHECK_ITEM__INIT;
	const ProtobufCMessage *list[] = {&a.base, &b.base};
	struct buf out;

	a.name = (char *)"a";
	buf_init(&out, 0);
	json_messages(&out, list, 2, false);
	assert_string_equal(out.data, "[{\"name\":\"a\"},{}]");
	buf_reset(&out);
	json_messages(&out, NULL, 0, true);
	assert_string_equal(out.data, "[]");
	buf_fini(&out);
}

/* Every field of a message, filled by reflection: whatever is added to berth.proto prints. */
static void fill(ProtobufCMessage *m, int depth);

static ProtobufCMessage *make(const ProtobufCMessageDescriptor *d, int depth)
{
	ProtobufCMessage *m = calloc(1, d->sizeof_message);

	protobuf_c_message_init(d, m);
	fill(m, depth);
	return m;
}

static void fill_value(const ProtobufCFieldDescriptor *f, void *at, int depth)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = strdup("te\"xt\n");
		return;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(void **)at = make(f->descriptor, depth + 1);
		return;
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)at = (ProtobufCBinaryData){2, (uint8_t *)strdup("by")};
		return;
	case PROTOBUF_C_TYPE_DOUBLE:
		*(double *)at = 1.5;
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)at = 7;
		return;
	default:
		*(uint32_t *)at = 1;
	}
}

static void fill(ProtobufCMessage *m, int depth)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	assert_true(depth < 16);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		char *at = (char *)m + f->offset, *q = (char *)m + f->quantifier_offset;

		if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			*(size_t *)(void *)q = 1;
			*(void **)(void *)at = calloc(1, 16);
			fill_value(f, *(void **)(void *)at, depth);
			continue;
		}
		if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			*(protobuf_c_boolean *)(void *)q = true;
		fill_value(f, at, depth);
	}
}

static void every_field_of_every_object_prints_as_json_that_reads(void **state)
{
	static const ProtobufCMessageDescriptor *const all[] = {
		&berth__container__descriptor,
		&berth__pod__descriptor,
		&berth__image__descriptor,
		&berth__volume__descriptor,
		&berth__action__descriptor,
		&berth__event__descriptor,
		&berth__stats__descriptor,
		&berth__info_reply__descriptor,
		&berth__process__descriptor,
		&berth__error__descriptor,
		&berth__container_summary__descriptor,
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		ProtobufCMessage *m = make(all[i], 0);
		json_error_t error;

		for (int pretty = 0; pretty < 2; pretty++) {
			json_t *read = json_loads(json(m, pretty), JSON_REJECT_DUPLICATES, &error);

			if (!read)
				fail_msg("%s: %s in %s", all[i]->name, error.text, text);
			assert_int_equal(json_object_size(read), all[i]->n_fields);
			json_decref(read);
		}
		protobuf_c_message_free_unpacked(m, NULL);
	}
}

static void what_does_not_fit_is_marked(void **state)
{
	Berth__CheckItem item = BERTH__CHECK_ITEM__INIT;
	struct buf b;

	item.name = (char *)"a long name";
	buf_init(&b, 10);
	json_message(&b, &item.base, false);
	assert_true(b.failed);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(absent_fields_are_left_out_and_empty_lists_are_not),
		cmocka_unit_test(numbers_keep_all_their_digits),
		cmocka_unit_test(a_double_reads_back_as_the_same),
		cmocka_unit_test(negative_numbers_are_negative),
		cmocka_unit_test(times_are_rfc3339_or_null),
		cmocka_unit_test(enums_lose_their_prefix),
		cmocka_unit_test(bytes_are_base64),
		cmocka_unit_test(key_values_are_an_object_and_the_last_of_a_key_counts),
		cmocka_unit_test(only_the_set_body_is_printed),
		cmocka_unit_test(pretty_is_indented_by_two),
		cmocka_unit_test(a_list_of_messages_is_an_array),
		cmocka_unit_test(every_field_of_every_object_prints_as_json_that_reads),
		cmocka_unit_test(what_does_not_fit_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
