/* base/sha256.h - SHA-256 of what is short: digests of secrets. Contents of any size are digested by libcrypto, in image/digest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *data, size_t len, uint8_t ret[SHA256_SIZE]);
