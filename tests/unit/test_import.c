/* tests/unit/test_import.c - whole images from every kind of source into a store, and the store swept. Needs root. */
#include "tests/unit/unit.h"

#include "base/file.h"
#include "base/loop.h"
#include "image/digest.h"
#include "image/oci.h"
#include "image/partial.h"
#include "image/source.h"
#include "image/store.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PARTS_MAX 32

/* What a source holds, before it becomes a folder or a tar. */
struct part {
	char name[128];
	char *data; /* owned */
	size_t len;
	const char *link; /* instead of data */
};

struct parts {
	struct part part[PARTS_MAX];
	unsigned n;
};

static struct part *part_add(struct parts *p, const char *name, const void *data, size_t len)
{
	struct part *part = &p->part[p->n++];

	assert_true(p->n <= PARTS_MAX);
	snprintf(part->name, sizeof part->name, "%s", name);
	part->data = malloc(len + 1);
	memcpy(part->data, data, len);
	part->len = len;
	return part;
}

static void parts_fini(struct parts *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free(p->part[i].data);
	p->n = 0;
}

/* As blobs/sha256/<hex>; its descriptor as JSON. */
static void blob_add(struct parts *p, const char *type, const void *data, size_t len, char descriptor[320],
		     char digest[DIGEST_SIZE])
{
	char name[128];

	digest_of(data, len, digest);
	snprintf(name, sizeof name, "blobs/sha256/%s", digest + 7);
	part_add(p, name, data, len);
	snprintf(descriptor, 320, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu", type, digest, len);
}

static char *layer_make_tar(const char *name, const char *content, size_t *ret_len)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	char *buf = malloc(65536);

	archive_write_set_format_ustar(a);
	assert_int_equal(archive_write_open_memory(a, buf, 65536, ret_len), ARCHIVE_OK);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)strlen(content));
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	archive_write_data(a, content, strlen(content));
	archive_write_close(a);
	archive_write_free(a);
	archive_entry_free(entry);
	return buf;
}

/* Config, layer and manifest of an image with one file; the manifest's descriptor without its end. */
static void image_add(struct parts *p, const char *architecture, const char *content, char manifest[320])
{
	char layer[320], config[320], json[2048], layer_digest[DIGEST_SIZE], digest[DIGEST_SIZE];
	size_t len;
	char *tar = layer_make_tar("file", content, &len);

	blob_add(p, "application/vnd.oci.image.layer.v1.tar", tar, len, layer, layer_digest);
	free(tar);
	snprintf(json, sizeof json,
		 "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"%s\"]},\"rootfs\":{\"type\":"
		 "\"layers\",\"diff_ids\":[\"%s\"]}}",
		 architecture, content, layer_digest);
	blob_add(p, "application/vnd.oci.image.config.v1+json", json, strlen(json), config, digest);
	snprintf(json, sizeof json, "{\"schemaVersion\":2,\"config\":%s},\"layers\":[%s}]}", config, layer);
	blob_add(p, "application/vnd.oci.image.manifest.v1+json", json, strlen(json), manifest, digest);
}

static void layout_add(struct parts *p, const char *manifests)
{
	char json[4096];

	snprintf(json, sizeof json, "{\"schemaVersion\":2,\"manifests\":[%s]}", manifests);
	part_add(p, "index.json", json, strlen(json));
	part_add(p, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
}

static const char *host(void)
{
	static char architecture[32], variant[32];

	oci_host_platform(architecture, variant);
	return architecture;
}

static void simple_layout(struct parts *p)
{
	char manifest[320], entry[512];

	image_add(p, host(), "one", manifest);
	snprintf(entry, sizeof entry, "%s,\"annotations\":{\"org.opencontainers.image.ref.name\":\"app:1\"}}",
		 manifest);
	layout_add(p, entry);
}

/* ---------------------------------------------------------------- sources and the store */

static char base[64];

static int base_init(void **state)
{
	(void)state;
	strcpy(base, "/tmp/berth-import-XXXXXX");
	return mkdtemp(base) ? 0 : -1;
}

static int base_fini(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, base);
}

static const char *under(const char *name)
{
	static char path[4][160];
	static unsigned n;
	char *buf = path[n++ % 4];

	snprintf(buf, 160, "%s/%s", base, name);
	return buf;
}

static int folder_of(const struct parts *p, const char *name)
{
	char path[512];

	for (unsigned i = 0; i < p->n; i++) {
		snprintf(path, sizeof path, "%s/%s", under(name), p->part[i].name);
		*strrchr(path, '/') = 0;
		assert_int_equal(dir_make(AT_FDCWD, path, 0755), 0);
		snprintf(path, sizeof path, "%s/%s", under(name), p->part[i].name);
		assert_int_equal(file_write_atomic(AT_FDCWD, path, p->part[i].data, p->part[i].len, 0644, false), 0);
	}
	return open(under(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int tar_of(const struct parts *p, const char *name, bool gzip)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	archive_write_set_format_ustar(a);
	if (gzip)
		archive_write_add_filter_gzip(a);
	assert_int_equal(archive_write_open_filename(a, under(name)), ARCHIVE_OK);
	for (unsigned i = 0; i < p->n; i++) {
		const struct part *part = &p->part[i];

		archive_entry_clear(entry);
		archive_entry_set_pathname(entry, part->name);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_filetype(entry, part->link ? AE_IFLNK : AE_IFREG);
		if (part->link)
			archive_entry_set_symlink(entry, part->link);
		else
			archive_entry_set_size(entry, (la_int64_t)part->len);
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		if (!part->link)
			archive_write_data(a, part->data, part->len);
	}
	archive_write_close(a);
	archive_write_free(a);
	archive_entry_free(entry);
	return open(under(name), O_RDONLY | O_CLOEXEC);
}

struct imported {
	Berth__Image **image;
	size_t n;
	struct err e;
	int r;
};

static struct imported import(int fd, const char *name)
{
	struct imported im = {0};
	struct image_store s;

	assert_true(fd >= 0);
	assert_int_equal(image_store_open(&s, under("images"), &im.e), 0);
	im.r = image_import(&s, fd, name, NULL, NULL, &im.image, &im.n, &im.e);
	image_store_close(&s);
	close(fd);
	return im;
}

static void imported_fini(struct imported *im)
{
	for (size_t i = 0; i < im->n; i++)
		berth__image__free_unpacked(im->image[i], NULL);
	free(im->image);
	*im = (struct imported){0};
}

static bool layer_has(const Berth__Image *image, size_t layer, const char *name, const char *content)
{
	char path[512], text[64];

	snprintf(path, sizeof path, "%s/layers/%s/%s", under("images"), image->layers[layer] + 7, name);
	return file_read(AT_FDCWD, path, text, sizeof text) >= 0 && !strcmp(text, content);
}

static unsigned entries_of(const char *folder)
{
	DIR *dir = opendir(under(folder));
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

#define NEEDS_ROOT()                                                                                                   \
	do {                                                                                                           \
		(void)state;                                                                                           \
		if (geteuid())                                                                                         \
			SKIP("needs root");                                                                            \
	} while (0)

static void simple_check(struct imported *im, size_t row)
{
	if (im->r < 0)
		fail_msg("row %zu: %s", row, im->e.text);
	assert_int_equal(im->n, 1);
	assert_int_equal(im->image[0]->n_layers, 1);
	assert_string_equal(im->image[0]->config->command[0], "one");
	assert_int_equal(im->image[0]->size_bytes, 3);
	assert_true(layer_has(im->image[0], 0, "file", "one"));
	assert_string_equal(im->image[0]->names[0], "docker.io/library/app:1");
	imported_fini(im);
}

static void test_a_layout_comes_from_folder_file_and_pipe(void **state)
{
	struct parts p = {0};
	struct imported im;
	int fds[2], fd;
	pid_t pid;

	NEEDS_ROOT();
	simple_layout(&p);
	im = import(folder_of(&p, "layout"), NULL);
	simple_check(&im, 0);
	im = import(tar_of(&p, "layout.tar", false), NULL);
	simple_check(&im, 1);
	im = import(tar_of(&p, "layout.tgz", true), NULL);
	simple_check(&im, 2);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		/* A byte at a time: a pipe gives what it has. */
		fd = open(under("layout.tgz"), O_RDONLY | O_CLOEXEC);
		while (read(fd, &c, 1) == 1 && write(fds[1], &c, 1) == 1)
			;
		_exit(0);
	}
	close(fds[1]);
	im = import(fds[0], NULL);
	simple_check(&im, 3);
	waitpid(pid, NULL, 0);
	parts_fini(&p);
}

static void test_a_docker_archive_is_told_by_its_content(void **state)
{
	struct parts p = {0};
	char json[1024], digest[DIGEST_SIZE], config[DIGEST_SIZE], name[128];
	struct imported im;
	size_t len;
	char *tar;

	NEEDS_ROOT();
	tar = layer_make_tar("file", "docker", &len);
	digest_of(tar, len, digest);
	part_add(&p, "./aa/layer.tar", tar, len);
	free(tar);
	/* The same layer again, as docker save links it. */
	part_add(&p, "bb/layer.tar", "", 0)->link = "../aa/layer.tar";
	snprintf(json, sizeof json,
		 "{\"architecture\":\"%s\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\",\"%"
		 "s\"]}}",
		 host(), digest, digest);
	digest_of(json, strlen(json), config);
	snprintf(name, sizeof name, "%s.json", config + 7);
	part_add(&p, name, json, strlen(json));
	snprintf(json, sizeof json,
		 "[{\"Config\":\"%s\",\"RepoTags\":[\"d:1\",\"e:2\"],\"Layers\":[\"aa/layer.tar\",\"bb/layer.tar\"]}]",
		 name);
	part_add(&p, "manifest.json", json, strlen(json));
	im = import(tar_of(&p, "docker.tar", false), NULL);
	if (im.r < 0)
		fail_msg("%s", im.e.text);
	assert_int_equal(im.n, 1);
	assert_string_equal(im.image[0]->image_id, config);
	assert_int_equal(im.image[0]->n_names, 2);
	assert_string_equal(im.image[0]->names[1], "docker.io/library/e:2");
	assert_int_equal(im.image[0]->n_layers, 2);
	assert_string_equal(im.image[0]->layers[0], digest);
	assert_true(layer_has(im.image[0], 1, "file", "docker"));
	imported_fini(&im);

	/* A config that is not what its name says. */
	for (unsigned i = 0; i < p.n; i++)
		if (!strcmp(p.part[i].name, name))
			p.part[i].data[0] = ' ';
	im = import(tar_of(&p, "forged.tar", false), NULL);
	assert_true(im.r < 0);
	assert_non_null(strstr(im.e.text, "damaged or forged"));
	parts_fini(&p);
}

static void test_an_index_gives_the_hosts_platform(void **state)
{
	struct parts p = {0};
	char one[320], two[320], index[320], json[4096], digest[DIGEST_SIZE];
	struct imported im;

	NEEDS_ROOT();
	image_add(&p, "mips", "other", one);
	image_add(&p, host(), "mine", two);
	snprintf(json, sizeof json,
		 "{\"schemaVersion\":2,\"manifests\":[%s,\"platform\":{\"os\":\"linux\",\"architecture\":\"mips\"}},"
		 "%s,\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}},"
		 "{\"mediaType\":\"x\",\"digest\":\"sha256:"
		 "0000000000000000000000000000000000000000000000000000000000000000\",\"size\":1,"
		 "\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}}]}",
		 one, two, host());
	blob_add(&p, "application/vnd.oci.image.index.v1+json", json, strlen(json), index, digest);
	strcat(index, "}");
	layout_add(&p, index);
	im = import(folder_of(&p, "multi"), "given:name");
	if (im.r < 0)
		fail_msg("%s", im.e.text);
	assert_int_equal(im.n, 1);
	assert_string_equal(im.image[0]->config->command[0], "mine");
	assert_string_equal(im.image[0]->names[0], "docker.io/library/given:name");
	imported_fini(&im);
	parts_fini(&p);

	image_add(&p, "mips", "other", one);
	snprintf(json, sizeof json, "%s,\"platform\":{\"os\":\"linux\",\"architecture\":\"mips\"}}", one);
	layout_add(&p, json);
	im = import(folder_of(&p, "foreign"), NULL);
	assert_true(im.r < 0);
	assert_non_null(strstr(im.e.text, "linux/mips"));
	parts_fini(&p);

	/* No platform in the index: the config says it. */
	image_add(&p, "mips", "other", one);
	strcat(one, "}");
	layout_add(&p, one);
	im = import(folder_of(&p, "foreign2"), NULL);
	assert_true(im.r < 0);
	assert_non_null(strstr(im.e.text, "mips"));
	parts_fini(&p);
}

static void test_several_images_come_at_once_but_take_no_single_name(void **state)
{
	struct parts p = {0};
	char one[320], two[320], json[2048];
	struct imported im;

	NEEDS_ROOT();
	image_add(&p, host(), "one", one);
	image_add(&p, host(), "two", two);
	snprintf(json, sizeof json,
		 "%s,\"annotations\":{\"org.opencontainers.image.ref.name\":\"a:1\"}},%s,\"annotations\":{\"org."
		 "opencontainers.image.ref.name\":\"NOT A NAME\"}},"
		 "%s,\"annotations\":{\"org.opencontainers.image.ref.name\":\"a:latest\"}}",
		 one, two, one);
	layout_add(&p, json);
	im = import(folder_of(&p, "several"), NULL);
	if (im.r < 0)
		fail_msg("%s", im.e.text);
	assert_int_equal(im.n, 2);
	assert_int_equal(im.image[0]->n_names, 2);
	assert_int_equal(im.image[1]->n_names, 0);
	imported_fini(&im);
	im = import(open(under("several"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "x");
	assert_true(im.r < 0);
	assert_non_null(strstr(im.e.text, "one name"));
	im = import(open(under("several"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "NOT A NAME");
	assert_true(im.r < 0);
	parts_fini(&p);
}

/* Each part of a good layout damaged, cut or missing: an error, and nothing but whole blobs and layers in the store. */
static void test_every_damage_is_noticed(void **state)
{
	struct parts p = {0};
	struct imported im;

	NEEDS_ROOT();
	simple_layout(&p);
	for (unsigned i = 0; i < p.n; i++) {
		for (int kind = 0; kind < 3; kind++) {
			struct part saved = p.part[i];

			assert_int_equal(dir_remove_all(AT_FDCWD, under("images")), 0);
			assert_int_equal(dir_remove_all(AT_FDCWD, under("bad")), 0);
			if (kind == 0)
				p.part[i].data[saved.len / 2] ^= 0x20;
			else if (kind == 1)
				p.part[i].len--;
			else
				strcpy(p.part[i].name, "gone");
			im = import(folder_of(&p, "bad"), NULL);
			/* A bit within a string of index.json may still make a good index. */
			if (strcmp(saved.name, "index.json") || kind)
				assert_row(im.r < 0 && im.e.text[0], i * 3 + (unsigned)kind);
			if (im.r < 0)
				assert_row(entries_of("images/layers") == 0, i);
			imported_fini(&im);
			if (kind == 0)
				p.part[i].data[saved.len / 2] ^= 0x20;
			p.part[i] = saved;
		}
	}
	parts_fini(&p);
}

static void test_other_things_are_no_image(void **state)
{
	struct parts p = {0};
	struct imported im;

	NEEDS_ROOT();
	part_add(&p, "readme", "hello", 5);
	im = import(folder_of(&p, "nothing"), NULL);
	assert_true(im.r < 0);
	assert_non_null(strstr(im.e.text, "neither"));
	im = import(tar_of(&p, "nothing.tar", false), NULL);
	assert_true(im.r < 0);
	im = import(open(under("nothing/readme"), O_RDONLY | O_CLOEXEC), NULL);
	assert_true(im.r < 0);
	im = import(open("/dev/null", O_RDONLY | O_CLOEXEC), NULL);
	assert_true(im.r < 0);
	assert_int_equal(file_write_atomic(AT_FDCWD, under("empty"), "", 0, 0644, false), 0);
	im = import(open(under("empty"), O_RDONLY | O_CLOEXEC), NULL);
	assert_true(im.r < 0);
	assert_non_null(strstr(im.e.text, "empty"));
	parts_fini(&p);
}

/* A folder source may be anybody's: a blob that is a symlink to a secret is not read. */
static void test_links_in_a_folder_source_are_not_followed(void **state)
{
	struct parts p = {0};
	struct imported im;
	int fd;

	NEEDS_ROOT();
	simple_layout(&p);
	fd = folder_of(&p, "linked");
	assert_int_equal(
		file_write_atomic(AT_FDCWD, under("secret"), p.part[p.n - 2].data, p.part[p.n - 2].len, 0600, false),
		0);
	assert_int_equal(unlinkat(fd, "index.json", 0), 0);
	assert_int_equal(symlinkat("../secret", fd, "index.json"), 0);
	im = import(fd, NULL);
	assert_true(im.r < 0);
	parts_fini(&p);
}

static void test_parallel_imports_of_one_image_all_succeed(void **state)
{
	struct parts p = {0};
	struct imported im;
	pid_t pid[8];
	int status;

	NEEDS_ROOT();
	assert_int_equal(dir_remove_all(AT_FDCWD, under("images")), 0);
	simple_layout(&p);
	close(folder_of(&p, "layout"));
	for (size_t i = 0; i < ARRAY_SIZE(pid); i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			im = import(open(under("layout"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL);
			_exit(im.r < 0);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pid); i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_row(status == 0, i);
	}
	assert_int_equal(entries_of("images/layers"), 1);
	assert_int_equal(entries_of("images/blobs/sha256"), 3);
	assert_int_equal(entries_of("images/tmp"), 0);
	parts_fini(&p);
}

static int sweep(const Berth__Image *const *keep, size_t n, int64_t listed_ns, struct err *e)
{
	struct image_store s;
	uint64_t freed;
	int r;

	assert_int_equal(image_store_open(&s, under("images"), e), 0);
	r = image_sweep(&s, keep, n, listed_ns, PARTIAL_KEPT_NS, &freed, e);
	image_store_close(&s);
	return r;
}

/* Killed at whatever moment: after a sweep there is nothing that no image needs, and the import works the next time. */
static void test_a_killed_import_leaves_nothing_after_a_sweep(void **state)
{
	struct parts p = {0};
	struct imported im;
	struct err e;

	NEEDS_ROOT();
	simple_layout(&p);
	close(folder_of(&p, "layout"));
	for (unsigned us = 0; us < 20000; us += 1000) {
		pid_t pid;

		assert_int_equal(dir_remove_all(AT_FDCWD, under("images")), 0);
		pid = fork();
		if (pid == 0) {
			im = import(open(under("layout"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL);
			_exit(0);
		}
		usleep(us);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (sweep(NULL, 0, INT64_MAX, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(entries_of("images/layers"), 0);
		assert_int_equal(entries_of("images/blobs/sha256"), 0);
		assert_int_equal(entries_of("images/tmp"), 0);
	}
	im = import(open(under("layout"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL);
	simple_check(&im, 0);
	parts_fini(&p);
}

static void test_a_sweep_keeps_what_is_listed_or_new(void **state)
{
	struct parts p = {0};
	char one[320], two[320], json[2048];
	const Berth__Image *keep[1];
	Berth__Image bare = BERTH__IMAGE__INIT;
	struct imported im, again;
	struct image_store s;
	Berth__Meta *meta;
	struct err e;

	NEEDS_ROOT();
	assert_int_equal(dir_remove_all(AT_FDCWD, under("images")), 0);
	image_add(&p, host(), "one", one);
	image_add(&p, host(), "two", two);
	snprintf(json, sizeof json, "%s},%s}", one, two);
	layout_add(&p, json);
	im = import(folder_of(&p, "pair"), NULL);
	assert_int_equal(im.n, 2);
	assert_int_equal(entries_of("images/blobs/sha256"), 6);

	/* Everything is newer than an old list. */
	assert_int_equal(sweep(NULL, 0, wall_ns() - 10 * (int64_t)NS_PER_S, &e), 0);
	assert_int_equal(entries_of("images/layers"), 2);
	keep[0] = im.image[1];
	assert_int_equal(sweep(keep, 1, INT64_MAX, &e), 0);
	assert_int_equal(entries_of("images/layers"), 1);
	assert_int_equal(entries_of("images/blobs/sha256"), 3);
	assert_true(layer_has(im.image[1], 0, "file", "two"));

	/* A container whose image was removed: only the layers count. */
	bare.n_layers = im.image[1]->n_layers;
	bare.layers = im.image[1]->layers;
	keep[0] = &bare;
	assert_int_equal(sweep(keep, 1, INT64_MAX, &e), 0);
	assert_int_equal(entries_of("images/layers"), 1);
	assert_int_equal(entries_of("images/blobs/sha256"), 0);

	/* With its manifest gone nobody knows which blobs an image needs: then none goes. */
	again = import(open(under("pair"), O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL);
	assert_int_equal(again.n, 2);
	snprintf(json, sizeof json, "%s/blobs/sha256/%s", under("images"), again.image[1]->manifest_digest + 7);
	assert_int_equal(unlink(json), 0);
	meta = malloc(sizeof *meta);
	berth__meta__init(meta);
	again.image[1]->meta = meta;
	keep[0] = again.image[1];
	assert_true(sweep(keep, 1, INT64_MAX, &e) < 0);
	assert_int_equal(entries_of("images/blobs/sha256"), 5);

	/* A container does not hold that up: it runs on its layers. */
	berth__meta__free_unpacked(meta, NULL);
	again.image[1]->meta = NULL;
	assert_int_equal(sweep(keep, 1, INT64_MAX, &e), 0);
	assert_int_equal(entries_of("images/layers"), 1);
	assert_int_equal(entries_of("images/blobs/sha256"), 0);

	/* Never beside an import. */
	assert_int_equal(image_store_open(&s, under("images"), &e), 0);
	assert_int_equal(flock(s.lock_fd, LOCK_SH), 0);
	assert_int_equal(sweep(NULL, 0, INT64_MAX, &e), -EWOULDBLOCK);
	image_store_close(&s);
	imported_fini(&im);
	imported_fini(&again);
	parts_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_layout_comes_from_folder_file_and_pipe),
		cmocka_unit_test(test_a_docker_archive_is_told_by_its_content),
		cmocka_unit_test(test_an_index_gives_the_hosts_platform),
		cmocka_unit_test(test_several_images_come_at_once_but_take_no_single_name),
		cmocka_unit_test(test_every_damage_is_noticed),
		cmocka_unit_test(test_other_things_are_no_image),
		cmocka_unit_test(test_links_in_a_folder_source_are_not_followed),
		cmocka_unit_test(test_parallel_imports_of_one_image_all_succeed),
		cmocka_unit_test(test_a_killed_import_leaves_nothing_after_a_sweep),
		cmocka_unit_test(test_a_sweep_keeps_what_is_listed_or_new),
	};

	return cmocka_run_group_tests(tests, base_init, base_fini);
}
