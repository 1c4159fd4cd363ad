/* image/authfile.c - see image/authfile.h. Helper programs that such a file may name are not run: what is not in it is not there. */
#include "image/authfile.h"

#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX 65536

static void json_drop(json_t **j)
{
	json_decref(*j);
}

#define AUTO_JSON __attribute__((cleanup(json_drop))) json_t

static void secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void auth_free(struct auth *a)
{
	secret_free(a->user);
	secret_free(a->password);
	secret_free(a->identity_token);
	free(a->helper);
	*a = (struct auth){0};
}

static json_t *file_load(const char *json, size_t len, struct err *e)
{
	json_error_t error;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error), *auths;

	/* The text near an error may be a secret: where it is, not what. */
	if (!root)
		err_set(e, 0, "credentials", "line %d, column %d: not the JSON of a credentials file", error.line,
			error.column);
	else if (!json_is_object(root) || ((auths = json_object_get(root, "auths")) && !json_is_object(auths)))
		err_set(e, 0, "credentials", "not a credentials file: 'auths' must be an object");
	else
		return root;
	json_decref(root);
	return NULL;
}

/* A key as people and tools write it, "https://host/v1/", reduced to "host" or "host/path". Length of it in *key. */
static size_t key_clean(const char **key)
{
	const char *k = *key;
	size_t len;

	if (str_starts(k, "https://"))
		k += 8;
	else if (str_starts(k, "http://"))
		k += 7;
	len = strlen(k);
	while (len && k[len - 1] == '/')
		len--;
	if (len > 3 && (!memcmp(k + len - 3, "/v1", 3) || !memcmp(k + len - 3, "/v2", 3)))
		len -= 3;
	*key = k;
	return len;
}

static bool host_is(const char *key, size_t len, const char *host)
{
	static const char *const hub[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};

	if (strlen(host) == len && !strncasecmp(key, host, len))
		return true;
	if (strcmp(host, "docker.io"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(hub); i++)
		if (strlen(hub[i]) == len && !memcmp(key, hub[i], len))
			return true;
	return false;
}

/* How well a key fits, 0 not at all: longer paths better. */
static size_t key_rank(const char *key, const char *host, const char *path)
{
	size_t len = key_clean(&key), host_len = (size_t)((const char *)memchr(key, '/', len) - key), rest;

	if (!memchr(key, '/', len))
		host_len = len;
	if (!host_is(key, host_len, host))
		return 0;
	if (host_len == len)
		return 1;
	rest = len - host_len - 1;
	if (strncmp(path, key + host_len + 1, rest) || (path[rest] && path[rest] != '/'))
		return 0;
	return 1 + rest;
}

static char *base64_decode(const char *text)
{
	size_t len = strlen(text);
	char *out = len && len <= SECRET_MAX ? calloc(1, len / 4 * 3 + 1) : NULL;

	if (out && str_base64_decode(text, out) < 0) {
		free(out);
		return NULL;
	}
	return out;
}

static char *text_of(const json_t *entry, const char *key)
{
	const char *text = json_string_value(json_object_get(entry, key));

	return text && *text ? strdup(text) : NULL;
}

/* "auth" is base64 of "user:password"; separate members are older, and win as they do with Docker. */
static int entry_read(const json_t *entry, struct auth *ret, struct err *e)
{
	const char *packed = json_string_value(json_object_get(entry, "auth"));

	ret->user = text_of(entry, "username");
	ret->password = text_of(entry, "password");
	ret->identity_token = text_of(entry, "identitytoken");
	if (!ret->user && packed && *packed) {
		char *plain = base64_decode(packed), *colon = plain ? strchr(plain, ':') : NULL;

		if (colon) {
			*colon = 0;
			ret->user = strdup(plain);
			ret->password = strdup(colon + 1);
			explicit_bzero(colon + 1, strlen(colon + 1));
		}
		secret_free(plain);
		if (!colon)
			return err_set(e, 0, "credentials", "'auth' is not the base64 of user:password");
	}
	if (ret->user && strpbrk(ret->user, ":\r\n"))
		return err_set(e, 0, "credentials", "a user's name has a colon or a line break in it");
	return 0;
}

/* The program that has the credentials for host: its own one, or that for all, in which it is known by an entry without them. */
static int helper_find(const json_t *root, const char *host, bool known, struct auth *ret, struct err *e)
{
	const char *key, *name = known ? json_string_value(json_object_get(root, "credsStore")) : NULL;
	json_t *value;

	json_object_foreach(json_object_get(root, "credHelpers"), key,
			    value) if (key_rank(key, host, "") == 1 && json_string_value(value)) name =
		json_string_value(value);
	if (!name || !*name)
		return 0;
	ret->helper = strdup(name);
	return ret->helper ? 0 : err_set(e, ENOMEM, "credentials", "no memory");
}

int authfile_find(const char *json, size_t len, const char *host, const char *path, struct auth *ret, struct err *e)
{
	AUTO_JSON *root = file_load(json, len, e);
	json_t *entry, *best = NULL;
	size_t best_rank = 0;
	const char *key;
	int r;

	*ret = (struct auth){0};
	if (!root)
		return -EINVAL;
	json_object_foreach(json_object_get(root, "auths"), key, entry)
	{
		size_t rank = key_rank(key, host, path);

		if (rank > best_rank) {
			best_rank = rank;
			best = entry;
		}
	}
	r = best ? entry_read(best, ret, e) : 0;
	if (r == 0 && !ret->user && !ret->identity_token)
		r = helper_find(root, host, best != NULL, ret, e);
	if (r < 0)
		auth_free(ret);
	return r < 0 ? err_wrap(e, "entry of %s", host) : 0;
}

static json_t *entry_new(const char *user, const char *password)
{
	size_t len = strlen(user) + 1 + strlen(password);
	AUTO_FREE char *plain = malloc(len + 1);
	AUTO_FREE char *packed = malloc(STR_BASE64_SIZE(len));
	json_t *entry = NULL;

	if (plain && packed) {
		snprintf(plain, len + 1, "%s:%s", user, password);
		str_base64(plain, len, packed);
		entry = json_pack("{s:s}", "auth", packed);
		explicit_bzero(plain, len);
		explicit_bzero(packed, STR_BASE64_SIZE(len));
	}
	return entry;
}

/* Docker's own name for its hub's entry, so that its tools find it too. */
static const char *key_of(const char *host)
{
	return strcmp(host, "docker.io") ? host : "https://index.docker.io/v1/";
}

int authfile_set(const char *json, size_t len, const char *host, const char *user, const char *password, char **ret,
		 struct err *e)
{
	AUTO_JSON *root = json ? file_load(json, len, e) : json_object();
	json_t *auths, *entry;
	const char *key;
	bool found = false;
	void *next;

	if (!root)
		return json ? -EINVAL : err_set(e, ENOMEM, "credentials", "no memory");
	if (user && (strpbrk(user, ":\r\n") || !*user || strlen(user) + strlen(password) > SECRET_MAX))
		return err_set(e, 0, "credentials", "a user's name must not be empty and has no colon in it");
	auths = json_object_get(root, "auths");
	if (!auths && json_object_set_new(root, "auths", auths = json_object()) < 0)
		return err_set(e, ENOMEM, "credentials", "no memory");
	json_object_foreach_safe(auths, next, key, entry)
	{
		if (key_rank(key, host, "") == 1) {
			json_object_del(auths, key);
			found = true;
		}
	}
	if (!user && !found)
		return -ENOENT;
	if (user && json_object_set_new(auths, key_of(host), entry_new(user, password)) < 0)
		return err_set(e, ENOMEM, "credentials", "no memory");
	*ret = json_dumps(root, JSON_INDENT(2));
	return *ret ? 0 : err_set(e, ENOMEM, "credentials", "no memory");
}
