/* tests/fuzz/fuzz_ctl_text.c - what comes from containers and users as text: lines of logs, templates, mounts, volumes, keys. First byte: which. */
#include "ctl/format.h"
#include "ctl/log_text.h"
#include "ctl/mem.h"
#include "ctl/mount_text.h"
#include "ctl/terminal.h"
#include "ctl/volume_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The text must not depend on how it was cut into reads. */
static void log_text(const char *data, size_t len)
{
	char *out[2];
	size_t out_len[2];

	for (int i = 0; i < 2; i++) {
		FILE *f = open_memstream(&out[i], &out_len[i]);
		size_t piece = i ? 7 : len;
		struct log_text t;

		log_text_init(&t, f, f, len & 1);
		for (size_t at = 0; at < len; at += piece)
			log_text_feed(&t, data + at, len - at < piece ? len - at : piece);
		log_text_fini(&t);
		fclose(f);
	}
	if (out_len[0] != out_len[1] || memcmp(out[0], out[1], out_len[0]) != 0)
		abort();
	free(out[0]);
	free(out[1]);
}

/* What the check lets through can be filled in. */
static void template(const char *text)
{
	static Berth__KeyValue label = BERTH__KEY_VALUE__INIT;
	static Berth__KeyValue *labels[] = {&label};
	static Berth__ContainerSpec spec = BERTH__CONTAINER_SPEC__INIT;
	static Berth__Container container = BERTH__CONTAINER__INIT;
	struct format_opts o = {.format = text};
	struct err e;
	struct buf b;

	label.key = (char *)(uintptr_t) "k";
	label.value = (char *)(uintptr_t) "\"\\\n{[]}";
	spec.labels = labels;
	spec.n_labels = 1;
	container.spec = &spec;
	if (format_check(&o, &berth__container__descriptor, &e) < 0)
		return;
	buf_init(&b, 0);
	format_expand(&b, text, &container.base);
	buf_fini(&b);
}

static void mounts(const char *text)
{
	static int (*const parse[])(Berth__Mount *, const char *, struct err *) = {mount_from_volume, mount_from_mount,
										   mount_from_tmpfs};

	for (size_t i = 0; i < 3; i++) {
		Berth__Mount *m = mem_zero(sizeof *m);
		struct err e;

		berth__mount__init(m);
		if (parse[i](m, text, &e) == 0 && (!m->target || m->target[0] != '/'))
			abort();
		berth__mount__free_unpacked(m, NULL);
	}
}

static void volumes(const char *text)
{
	static int (*const parse[])(Berth__VolumeCreate *, const char *, struct err *) = {
		volume_driver_text, volume_size_text, volume_label_text, volume_option_text};

	for (size_t i = 0; i < 4; i++) {
		Berth__VolumeCreate *v = mem_zero(sizeof *v);
		struct err e;

		berth__volume_create__init(v);
		if (parse[i](v, text, &e) == 0 && v->has_mode && v->mode > 07777)
			abort();
		berth__volume_create__free_unpacked(v, NULL);
	}
}

/* Nothing that was typed is lost but the sequence itself and what is still held back. */
static void keys(const uint8_t *data, size_t len)
{
	struct detach_keys k;
	uint8_t out[4096];
	struct err e;
	size_t n;

	if (detach_keys_parse(&k, len & 1 ? "a,a,b" : DETACH_KEYS_DEFAULT, &e) < 0)
		abort();
	if (len > sizeof out - DETACH_KEYS_MAX)
		return;
	if (!detach_keys_feed(&k, data, len, out, &n) && (n + k.matched != len || memcmp(out, data, n) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text;

	if (!len)
		return 0;
	text = mem_textn((const char *)data + 1, len - 1);
	switch (data[0] & 3) {
	case 0:
		log_text((const char *)data + 1, len - 1);
		break;
	case 1:
		template(text);
		break;
	case 2:
		mounts(text);
		volumes(text);
		break;
	case 3:
		keys(data + 1, len - 1);
		break;
	}
	free(text);
	return 0;
}
