/* image/digest.c - see image/digest.h */
#include "image/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static void hex_write(const unsigned char sum[32], char ret[DIGEST_SIZE])
{
	memcpy(ret, "sha256:", 8);
	for (size_t i = 0; i < 32; i++)
		snprintf(ret + 7 + 2 * i, 3, "%02x", sum[i]);
}

struct digest *digest_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx && !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) {
		EVP_MD_CTX_free(ctx);
		ctx = NULL;
	}
	return (struct digest *)ctx;
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	EVP_DigestUpdate((EVP_MD_CTX *)d, data, len);
}

void digest_end(struct digest *d, char ret[DIGEST_SIZE])
{
	unsigned char sum[32];

	EVP_DigestFinal_ex((EVP_MD_CTX *)d, sum, NULL);
	hex_write(sum, ret);
	digest_free(d);
}

void digest_free(struct digest *d)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)d);
}

void digest_of(const void *data, size_t len, char ret[DIGEST_SIZE])
{
	unsigned char sum[32];

	EVP_Digest(data, len, sum, NULL, EVP_sha256(), NULL);
	hex_write(sum, ret);
}
