/* tests/fuzz/fuzz_import.c - any bytes as what an image is imported from; the first byte chooses how.
 *
 *   even: the rest is the archive (an OCI layout's or a docker-archive's)
 *   odd:  a layout of four documents that "\n%\n" parts: layer, config, manifest, index. No mutation finds a digest, so "@N" in one
 *         stands for the digest of document N (0 to 3) and "#N" for its size
 *
 * Nothing may appear in the store but blobs, whole layers and what is swept; whatever is taken keeps to the limits. As root in
 * mounts of its own, on a tmpfs. */
#include "base/file.h"
#include "base/own.h"
#include "image/digest.h"
#include "image/store.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define DOCUMENTS 4

static char base[] = "/tmp/berth-fuzz-XXXXXX", store_path[64];
static int base_fd = -1;

#define require(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			perror(#condition);                                                                            \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	require(mkdtemp(base) != NULL);
	if (geteuid() == 0) {
		require(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		require(mount("tmpfs", base, "tmpfs", MS_NODEV, "size=256m") == 0);
	}
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(base_fd >= 0);
	snprintf(store_path, sizeof store_path, "%s/store", base);
	return 0;
}

/* ---------------------------------------------------------------- the layout of documents */

struct document {
	char digest[DIGEST_SIZE];
	char *data; /* owned */
	size_t len;
};

/* data with "@N" and "#N" of the n documents before it filled in. */
static void document_make(struct document *d, unsigned n, const uint8_t *data, size_t len)
{
	FILE *f = open_memstream(&d[n].data, &d[n].len);

	require(f != NULL);
	for (size_t i = 0; i < len; i++) {
		unsigned of = i + 1 < len ? (unsigned)data[i + 1] - '0' : DOCUMENTS;

		if (of >= n || (data[i] != '@' && data[i] != '#'))
			fputc(data[i], f);
		else if (data[i] == '@')
			fprintf(f, "%s", d[of].digest), i++;
		else
			fprintf(f, "%zu", d[of].len), i++;
	}
	require(fclose(f) == 0);
	digest_of(d[n].data, d[n].len, d[n].digest);
}

static void document_write(const struct document *d, int dir_fd, const char *path)
{
	char blob[96];

	if (!path)
		snprintf(blob, sizeof blob, "blobs/sha256/%s", d->digest + 7);
	require(file_write_atomic(dir_fd, path ? path : blob, d->data, d->len, 0644, false) == 0);
}

static int layout_make(const uint8_t *data, size_t len)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	struct document d[DOCUMENTS] = {0};
	int fd;

	require(mkdirat(base_fd, "layout", 0755) == 0 && mkdirat(base_fd, "layout/blobs", 0755) == 0 &&
		mkdirat(base_fd, "layout/blobs/sha256", 0755) == 0);
	fd = openat(base_fd, "layout", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	require(fd >= 0 && file_write_atomic(fd, "oci-layout", version, strlen(version), 0644, false) == 0);
	for (unsigned n = 0; n < DOCUMENTS; n++) {
		const uint8_t *end = len ? memmem(data, len, "\n%\n", 3) : NULL;
		size_t part = end && n < DOCUMENTS - 1 ? (size_t)(end - data) : len,
		       skip = part < len ? part + 3 : part;

		document_make(d, n, data, part);
		document_write(&d[n], fd, n == DOCUMENTS - 1 ? "index.json" : NULL);
		data += skip;
		len -= skip;
	}
	for (unsigned n = 0; n < DOCUMENTS; n++)
		free(d[n].data);
	return fd;
}

/* ---------------------------------------------------------------- the import */

static int archive_make(const uint8_t *data, size_t len)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	require(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void image_check(const Berth__Image *image, int store_fd)
{
	char path[96];
	struct stat st;

	require(image->n_layers && image->n_layers <= OCI_LAYERS_MAX && oci_digest_is_valid(image->manifest_digest));
	for (size_t i = 0; i < image->n_layers; i++) {
		snprintf(path, sizeof path, "layers/%s", image->layers[i] + 7);
		require(fstatat(store_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode));
	}
	require(berth__image__get_packed_size(image) < OCI_CONFIG_TEXT_MAX + (64u << 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const emptied[] = {"layers", "blobs/sha256", "tmp"};
	struct image_store store;
	struct err e = {0};
	Berth__Image **image = NULL;
	uint64_t freed;
	size_t n = 0;
	int fd, r;

	if (!len)
		return 0;
	fd = data[0] & 1 ? layout_make(data + 1, len - 1) : archive_make(data + 1, len - 1);
	require(image_store_open(&store, store_path, &e) == 0);
	r = image_import(&store, fd, NULL, NULL, NULL, &image, &n, &e);
	require(r < 0 ? e.text[0] && !n : n > 0);
	for (size_t i = 0; i < n; i++) {
		image_check(image[i], store.dir_fd);
		berth__image__free_unpacked(image[i], NULL);
	}
	free(image);
	/* A list of nothing, made later than all of it: nothing stays. */
	require(image_sweep(&store, NULL, 0, INT64_MAX, 0, &freed, &e) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(emptied); i++)
		require(unlinkat(store.dir_fd, emptied[i], AT_REMOVEDIR) == 0);
	image_store_close(&store);
	close(fd);
	require(dir_remove_all(base_fd, "store") == 0);
	if (data[0] & 1)
		require(dir_remove_all(base_fd, "layout") == 0);
	return 0;
}
