/* job/local.c - `pack NAME`, fd 4 = what is to be packed (O_PATH), fd 5 = where the archive goes; `unpack NAME owners=0|1`, fd 4 = a
 * folder, fd 5 = the archive: the other end of a copy, on the side of whoever asked for it. Started by the tool, with its rights and not
 * berthd's: what parses archives, and meets what a container made up, is confined there too, to the one folder. NAME is what the archive
 * calls it; "." is a folder's content. Result CopyReply.
 *
 * What a container made must not become more than it was by being copied: files are the asker's and set no ids, unless `owners`, and there
 * are no device nodes. */
#include "job/job.h"

#include "base/own.h"
#include "image/extract.h"
#include "image/pack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PLACE_FD  4
#define STREAM_FD 5

static int stream_write(void *arg, const void *data, size_t len, struct err *e)
{
	(void)arg;
	return job_write_all(STREAM_FD, data, len, e);
}

static int reply(uint64_t entries, uint64_t bytes, uint64_t passed_over, struct err *e)
{
	Berth__CopyReply reply = BERTH__COPY_REPLY__INIT;
	Berth__Envelope env = BERTH__ENVELOPE__INIT;

	reply.has_entries = reply.has_bytes = reply.has_passed_over = true;
	reply.entries = entries;
	reply.bytes = bytes;
	reply.passed_over = passed_over;
	env.body_case = BERTH__ENVELOPE__BODY_COPY_REPLY;
	env.copy_reply = &reply;
	return report_send(&env, e);
}

int verb_pack(int argc, char **argv, struct err *e)
{
	struct pack_how how = {.write = stream_write, .no_kernel_files = true};
	struct pack_result result = {0};
	int r = confine_enter(&(struct confine){.caps = JOB_CAPS_READ, .read_fd = PLACE_FD}, e);

	(void)argc;
	if (r == 0)
		r = tree_pack(&how, PLACE_FD, "", strcmp(argv[1], ".") ? argv[1] : "", &result, e);
	return r < 0 ? r : reply(result.entries, result.bytes, result.left_out, e);
}

int verb_unpack(int argc, char **argv, struct err *e)
{
	bool owners = argc > 2 && !strcmp(argv[2], "owners=1");
	struct extract x = {
		.root_fd = PLACE_FD,
		.base = "",
		.only = strcmp(argv[1], ".") ? argv[1] : NULL,
		.owner = owners && geteuid() == 0 ? EXTRACT_OWNER_ARCHIVE : EXTRACT_OWNER_LEAVE,
		.special_bits = owners,
	};
	struct extract_result result = {0};
	int r = confine_enter(&(struct confine){.caps = JOB_CAPS_COPY, .change_fd = PLACE_FD}, e);

	if (r == 0)
		r = extract_tar(STREAM_FD, &x, &result, e);
	return r < 0 ? r : reply(result.entries, result.bytes, result.passed_over, e);
}
