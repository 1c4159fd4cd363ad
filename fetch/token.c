/* fetch/token.c - see fetch/token.h */
#include "fetch/token.h"

#include "base/own.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 65536

static void json_drop(json_t **j)
{
	json_decref(*j);
}

#define AUTO_JSON __attribute__((cleanup(json_drop))) json_t

/* What becomes part of a header must not end it. */
static bool is_header_text(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

char *token_parse(const char *json, size_t len, struct err *e)
{
	AUTO_JSON *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
	const char *token = json_string_value(json_object_get(root, "token"));
	char *header;

	if (!token || !*token)
		token = json_string_value(json_object_get(root, "access_token"));
	if (!token || !*token || strlen(token) > TOKEN_MAX || !is_header_text(token)) {
		err_set(e, 0, "token", "the token server's answer has no usable token in it");
		return NULL;
	}
	header = malloc(strlen(token) + sizeof "Bearer ");
	if (!header) {
		err_set(e, ENOMEM, "token", "no memory");
		return NULL;
	}
	sprintf(header, "Bearer %s", token);
	return header;
}

void registry_error(const char *json, size_t len, char *buf, size_t size)
{
	AUTO_JSON *root = len && (json[0] == '{') ? json_loadb(json, len, 0, NULL) : NULL;
	const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
	const char *text = json_string_value(json_object_get(first, "message"));

	if (!text || !*text)
		text = json_string_value(json_object_get(first, "code"));
	if (!text || !*text)
		text = json_string_value(json_object_get(root, "details"));
	snprintf(buf, size, "%.200s", text ? text : "");
	for (char *c = buf; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
}
