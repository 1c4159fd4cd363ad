/* tests/fuzz/fuzz_fetch_answers.c - what a registry or a token server may send: challenges, tokens, errors, URLs of redirects; and
 * files of credentials. The first byte says which. */
#include "fetch/challenge.h"
#include "fetch/http.h"
#include "fetch/token.h"
#include "image/authfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void challenges(const char *text)
{
	struct challenge c = {0};

	challenge_parse(text, &c);
	if (strlen(c.realm) >= sizeof c.realm || (c.scheme == CHALLENGE_NONE && c.realm[0]))
		abort();
}

static void tokens(const char *text, size_t len)
{
	char buf[64], *header = token_parse(text, len, NULL);

	for (const char *c = header; c && *c; c++)
		if (*c < ' ' || *c > '~')
			abort();
	free(header);
	registry_error(text, len, buf, sizeof buf);
	for (const char *c = buf; *c; c++)
		if (*c < ' ' || *c > '~')
			abort();
}

static void urls(const char *text)
{
	char host[300], whole[HTTP_URL_SIZE];
	bool tls;

	if (url_parse(text, &tls, host, sizeof host) && (!host[0] || strchr(host, '@') || strchr(host, '/')))
		abort();
	if (url_parse(text, &tls, host, sizeof host) && url_add(text, "digest=1", whole) == 0 &&
	    !url_same_origin(text, whole))
		abort();
	if (url_same_origin(text, "https://h/") && !url_same_origin("https://h/", text))
		abort();
}

static void credentials(const char *text, size_t len)
{
	char *changed = NULL;
	struct auth a;

	if (authfile_find(text, len, "docker.io", "library/x", &a, NULL) == 0)
		auth_free(&a);
	if (authfile_set(text, len, "h:1", "u", "p", &changed, NULL) < 0)
		return;
	if (authfile_find(changed, strlen(changed), "h:1", "", &a, NULL) < 0 || !a.user || strcmp(a.user, "u"))
		abort();
	auth_free(&a);
	free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1 || size > 65536)
		return -1;
	text = malloc(size);
	if (!text)
		return -1;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	switch (data[0] % 4) {
	case 0:
		challenges(text);
		break;
	case 1:
		tokens(text, size - 1);
		break;
	case 2:
		urls(text);
		break;
	default:
		credentials(text, size - 1);
	}
	free(text);
	return 0;
}
