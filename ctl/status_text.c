/* ctl/status_text.c - see ctl/status_text.h */
#include "ctl/status_text.h"

#include "base/str.h"
#include "ctl/print.h"
#include "proto/json.h"

#include <stdio.h>
#include <string.h>

#define COMMAND_CUT 30

const char *state_text(Berth__ContainerState state)
{
	static char buf[64]; /* one is shown at a time */
	const char *name = json_enum_name(&berth__container_state__descriptor, (int)state, buf, sizeof buf);

	return name ? name : "unknown";
}

/* "Exited (137)", "Exited (?)" when nobody saw the status */
static const char *ended_text(const char *word, const Berth__ContainerSummary *c, int64_t now_ns, char *buf)
{
	char code[16] = "?", ago[PRINT_SIZE];

	if (c->exit_known)
		snprintf(code, sizeof code, "%d", c->exit_code);
	print_ago(c->finished_at, now_ns, ago);
	snprintf(buf, STATUS_TEXT_SIZE, "%s (%s)%s%s", word, code, ago[0] ? " " : "", ago);
	return buf;
}

/* The reason, as far as it says more than the words before it: not "exited with 3", but what may follow that. */
static const char *with_reason(char *buf, const char *reason)
{
	size_t len = strlen(buf);

	if (reason && str_starts(reason, "exited with ")) {
		reason = strchr(reason, ',');
		reason = reason ? reason + 2 : NULL;
	}
	if (reason && *reason)
		snprintf(buf + len, STATUS_TEXT_SIZE - len, ": %s", reason);
	return buf;
}

static const char *words(const char *text, const Berth__ContainerSummary *c, char *buf)
{
	snprintf(buf, STATUS_TEXT_SIZE, "%s", text);
	return with_reason(buf, c->status_reason);
}

const char *status_text(const Berth__ContainerSummary *c, int64_t now_ns, char buf[STATUS_TEXT_SIZE])
{
	char time[PRINT_SIZE];

	switch (c->state) {
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_RUNNING:
		snprintf(buf, STATUS_TEXT_SIZE, "Up %s", print_duration(now_ns - c->started_at, time));
		return buf;
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_PAUSED:
		snprintf(buf, STATUS_TEXT_SIZE, "Paused, up %s", print_duration(now_ns - c->started_at, time));
		return buf;
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_EXITED:
		return with_reason((char *)(uintptr_t)ended_text("Exited", c, now_ns, buf), c->status_reason);
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPED:
		return ended_text("Stopped", c, now_ns, buf);
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_BACKOFF:
		snprintf(buf, STATUS_TEXT_SIZE, "Backoff: retry in %s",
			 print_duration(c->next_retry_at - now_ns, time));
		return buf;
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_CREATED:
		return "Created";
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_ERROR:
		return words("Error", c, buf);
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_STOPPING:
		return words("Stopping", c, buf);
	case BERTH__CONTAINER_STATE__CONTAINER_STATE_UNKNOWN:
		return words("Unknown", c, buf);
	default:
		return words(state_text(c->state), c, buf);
	}
}

const char *command_text(const char *command, char buf[COMMAND_TEXT_SIZE])
{
	size_t cut = 0;

	if (!command)
		command = "";
	if (strlen(command) <= COMMAND_CUT) {
		snprintf(buf, COMMAND_TEXT_SIZE, "%s", command);
		return buf;
	}
	cut = COMMAND_CUT - 1;
	while (cut && ((unsigned char)command[cut] & 0xc0) == 0x80) /* not within a character */
		cut--;
	snprintf(buf, COMMAND_TEXT_SIZE, "%.*s\xe2\x80\xa6", (int)cut, command);
	return buf;
}
