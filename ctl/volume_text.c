/* ctl/volume_text.c - see ctl/volume_text.h */
#include "ctl/volume_text.h"

#include "base/own.h"
#include "base/str.h"
#include "ctl/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const drivers[] = {
	[BERTH__VOLUME__DRIVER__PLAIN] = "plain",
	[BERTH__VOLUME__DRIVER__SIZED] = "sized",
	[BERTH__VOLUME__DRIVER__TMPFS] = "tmpfs",
};

const char *volume_driver_name(Berth__Volume__Driver driver)
{
	return (size_t)driver < ARRAY_SIZE(drivers) && drivers[driver] ? drivers[driver] : "?";
}

static int driver_set(Berth__VolumeCreate *v, Berth__Volume__Driver driver, struct err *e)
{
	if (v->has_driver && v->driver != driver)
		return err_set(e, EINVAL, "flag", "the driver is %s already", volume_driver_name(v->driver));
	v->has_driver = true;
	v->driver = driver;
	return 0;
}

int volume_driver_text(Berth__VolumeCreate *v, const char *text, struct err *e)
{
	if (!strcmp(text, "local")) /* Docker's own: its options say of which kind */
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (drivers[i] && !strcmp(text, drivers[i]))
			return driver_set(v, (Berth__Volume__Driver)i, e);
	return err_set(e, EINVAL, "flag", "\"%s\": there are plain, sized and tmpfs", text);
}

int volume_size_text(Berth__VolumeCreate *v, const char *text, struct err *e)
{
	if (str_to_bytes(text, &v->size_bytes))
		return err_set(e, EINVAL, "flag", "\"%s\" is not a size (such as 10g)", text);
	v->has_size_bytes = true;
	return 0;
}

int volume_label_text(Berth__VolumeCreate *v, const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	Berth__KeyValue *label;

	if (eq == text || !*text)
		return err_set(e, EINVAL, "flag", "\"%s\" is not KEY=VALUE", text);
	label = mem_zero(sizeof *label);
	berth__key_value__init(label);
	label->key = eq ? mem_textn(text, (size_t)(eq - text)) : mem_text(text);
	label->value = mem_text(eq ? eq + 1 : "");
	v->labels = mem_grow(v->labels, v->n_labels, sizeof *v->labels);
	v->labels[v->n_labels++] = label;
	return 0;
}

static int id_text(const char *name, const char *text, protobuf_c_boolean *has, uint32_t *ret, struct err *e)
{
	uint64_t n;

	if (str_to_u64(text, &n) || n >= UINT32_MAX)
		return err_set(e, EINVAL, "flag", "%s: \"%s\" is not a number", name, text);
	*has = true;
	*ret = (uint32_t)n;
	return 0;
}

/* A word of o=, as mount(8) has them. */
static int mount_word(Berth__VolumeCreate *v, const char *word, struct err *e)
{
	if (str_starts(word, "size="))
		return volume_size_text(v, word + 5, e);
	if (str_starts(word, "uid="))
		return id_text("uid", word + 4, &v->has_uid, &v->uid, e);
	if (str_starts(word, "gid="))
		return id_text("gid", word + 4, &v->has_gid, &v->gid, e);
	if (str_starts(word, "mode=")) {
		char *end;
		unsigned long mode = strtoul(word + 5, &end, 8);

		if (*end || word[5] < '0' || word[5] > '7' || mode > 07777)
			return err_set(e, EINVAL, "flag", "mode: \"%s\" is not an octal mode (such as 1777)", word + 5);
		v->has_mode = true;
		v->mode = (uint32_t)mode;
		return 0;
	}
	if (!strcmp(word, "nodev"))
		return 0; /* always in force */
	return err_set(e, EINVAL, "flag", "o=%s: there are size=, mode=, uid= and gid= (nodev always holds)", word);
}

static int mount_words(Berth__VolumeCreate *v, const char *text, struct err *e)
{
	const char *p = text, *word;
	size_t len;
	int r = 0;

	while (!r && (word = str_word(&p, ",", &len))) {
		AUTO_FREE char *copy = mem_textn(word, len);

		r = mount_word(v, copy, e);
	}
	return r;
}

int volume_option_text(Berth__VolumeCreate *v, const char *text, struct err *e)
{
	if (str_starts(text, "size="))
		return volume_size_text(v, text + 5, e);
	if (!strcmp(text, "type=tmpfs"))
		return driver_set(v, BERTH__VOLUME__DRIVER__TMPFS, e);
	if (str_starts(text, "type="))
		return err_set(e, EINVAL, "flag",
			       "%s: there is tmpfs; what the host has mounted comes in by -v /PATH:/PATH", text);
	if (!strcmp(text, "device=tmpfs") || !strcmp(text, "device=none"))
		return 0;
	if (str_starts(text, "device="))
		return err_set(e, EINVAL, "flag", "%s: a folder of the host comes in by -v /PATH:/PATH", text);
	if (str_starts(text, "o="))
		return mount_words(v, text + 2, e);
	return err_set(e, EINVAL, "flag", "unknown option \"%s\"; there are size=, type=tmpfs and o=", text);
}
