/* supervisor/upgrade.h - berthd becomes another berthd in place: same pid, same listening socket, no container touched.
 *
 * The new binary is first run with our flags and --check-state in a child: if it cannot load, or refuses them, the settings or the
 * state, nothing happens. Then what
 * is queued for the store is committed and the new binary is executed over us, with two descriptors: the listening socket (so
 * that no connection is refused meanwhile) and the old executable. Clients and shims reconnect exactly as they do after a crash:
 * there is one way back, not two. Until the new one has said READY it goes back to the old one by itself: when it returns an
 * error, when it crashes, when it takes longer than UPGRADE_READY_S. */
#pragma once

#include "base/err.h"
#include "supervisor/client.h"
#include "supervisor/supervisor.h"

#define UPGRADE_CHECK_S 20 /* for --check-state */
#define UPGRADE_READY_S 30 /* from exec to READY */

/* From on_upgrade and SIGHUP (parked all 0). binary NULL: the file that berthd was started from. Answers p. After the check the
 * loop is stopped with result UPGRADE_NOW; main then calls upgrade_exec once everything is closed. */
#define UPGRADE_NOW	 1000
#define UPGRADE_STATE_OK "berthd: the state can be taken over\n" /* what --check-state prints, besides ending with 0 */
void upgrade_start(struct supervisor *sv, const char *binary, struct parked p);
void upgrade_free(struct supervisor *sv); /* at the end of berthd: stops a check that runs */

/* What must be kept open and known over supervisor_close: call before it. Negative errno. */
int upgrade_keep(struct supervisor *sv, struct err *e);
/* Executes the new binary; if that fails, ourselves again. Returns only if both fail. */
void upgrade_exec(void);

/* At start, when argv has --takeover=TEXT. *ret_listen_fd and the generation of this berthd. From here until upgrade_ready a crash
 * goes back to the old berthd. */
int upgrade_takeover(char **argv, const char *text, int *ret_listen_fd, uint32_t *ret_generation, struct err *e);
void upgrade_ready(void);
/* Start failed with an error: executes the old berthd if this was a takeover; else returns. */
void upgrade_fall_back(void);
