/* ctl/progress.c - see ctl/progress.h. Bars are drawn on stderr, below what is said, at most ten times a second; so many as fit the
 * terminal, those that are at work first. */
#include "ctl/progress.h"

#include "base/buf.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/str.h"
#include "ctl/mem.h"
#include "ctl/print.h"
#include "ctl/terminal.h"
#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAW_NS (100 * NS_PER_MS)

void progress_init(struct progress *p, bool quiet, bool json)
{
	*p = (struct progress){.kind = quiet	   ? PROGRESS_NONE
				       : json	   ? PROGRESS_JSON
				       : isatty(2) ? PROGRESS_BARS
						   : PROGRESS_LINES};
}

/* ---------------------------------------------------------------- bars */

/* Nothing moves: it has not begun, or is done. */
static bool state_rests(const char *state)
{
	static const char *const resting[] = {"waiting", "exists", "mounted", "complete"};

	for (size_t i = 0; i < ARRAY_SIZE(resting); i++)
		if (!strcmp(state, resting[i]))
			return true;
	return false;
}

const char *progress_line(const struct progress_part *part, unsigned cols, char *buf, size_t size)
{
	char at[PRINT_SIZE], of[PRINT_SIZE], bar[64];
	const char *id = str_starts(part->id, "sha256:") ? part->id + 7 : part->id;
	unsigned width = cols > 100 ? 40 : cols > 70 ? 20 : 0, full;

	full = part->size && part->at <= part->size ? (unsigned)(part->at * width / part->size) : 0;
	memset(bar, ' ', sizeof bar);
	memset(bar, '=', full);
	if (full && full < width)
		bar[full - 1] = '>';
	bar[width] = 0;
	if (state_rests(part->state))
		snprintf(buf, size, "%.12s: %-11s  %s", id, part->state, print_size(part->size, of));
	else if (width)
		snprintf(buf, size, "%.12s: %-11s [%s] %s / %s", id, part->state, bar, print_size(part->at, at),
			 print_size(part->size, of));
	else
		snprintf(buf, size, "%.12s: %-11s %s / %s", id, part->state, print_size(part->at, at),
			 print_size(part->size, of));
	if (strlen(buf) >= cols)
		buf[cols ? cols - 1 : 0] = 0;
	return buf;
}

static void bars_clear(struct progress *p)
{
	for (; p->n_drawn; p->n_drawn--)
		fputs("\033[A\033[2K", stderr);
}

static bool part_works(const struct progress_part *part)
{
	return !state_rests(part->state) && strcmp(part->state, "downloaded") != 0;
}

static void bars_draw(struct progress *p, bool now)
{
	uint32_t rows = 24, cols = 80;
	char line[256];

	if (!now && now_ns() - p->drawn_ns < DRAW_NS)
		return;
	p->drawn_ns = now_ns();
	(void)terminal_size(2, &rows, &cols);
	bars_clear(p);
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < p->n_parts && p->n_drawn + 2 < rows; i++) {
			bool all = p->n_parts + 2 < rows; /* then in their order */

			if (all ? pass : part_works(&p->part[i]) == (bool)pass)
				continue;
			fprintf(stderr, "%s\n", progress_line(&p->part[i], cols, line, sizeof line));
			p->n_drawn++;
		}
	}
	fflush(stderr);
}

/* ---------------------------------------------------------------- events */

static const char *attribute(const Berth__Event *ev, const char *key)
{
	for (size_t i = 0; i < ev->n_attributes; i++)
		if (ev->attributes[i]->key && !strcmp(ev->attributes[i]->key, key))
			return ev->attributes[i]->value ? ev->attributes[i]->value : "";
	return "";
}

static void part_set(struct progress *p, const Berth__Event *ev)
{
	const char *id = attribute(ev, "part");
	struct progress_part *part = NULL;

	if (!*id)
		return;
	for (unsigned i = 0; i < p->n_parts && !part; i++)
		if (!strncmp(p->part[i].id, id, sizeof part->id - 1))
			part = &p->part[i];
	if (!part) {
		p->part = mem_grow(p->part, p->n_parts, sizeof *p->part);
		part = &p->part[p->n_parts++];
		snprintf(part->id, sizeof part->id, "%s", id);
	}
	snprintf(part->state, sizeof part->state, "%s", attribute(ev, "state"));
	(void)str_to_u64(attribute(ev, "at_bytes"), &part->at);
	(void)str_to_u64(attribute(ev, "size_bytes"), &part->size);
}

void progress_json(const ProtobufCMessage *m)
{
	struct buf b;

	buf_init(&b, 0);
	json_message(&b, m, false);
	puts(b.failed ? "null" : b.data);
	fflush(stdout);
	buf_fini(&b);
}

void progress_events(struct progress *p, const Berth__EventBatch *batch)
{
	for (size_t i = 0; i < batch->n_events; i++) {
		const Berth__Event *ev = batch->events[i];
		bool text = ev->reason && *ev->reason;

		if (p->kind == PROGRESS_JSON)
			progress_json(&ev->base);
		if (p->kind == PROGRESS_LINES && text)
			fprintf(stderr, "%s\n", ev->reason);
		if (p->kind != PROGRESS_BARS)
			continue;
		part_set(p, ev);
		if (text && !*attribute(ev, "part")) { /* what its bar does not say */
			bars_clear(p);
			fprintf(stderr, "%s\n", ev->reason);
		}
		bars_draw(p, text);
	}
}

void progress_end(struct progress *p)
{
	if (p->kind == PROGRESS_BARS)
		bars_clear(p);
	fflush(stderr);
	free(p->part);
	p->part = NULL;
	p->n_parts = 0;
}
