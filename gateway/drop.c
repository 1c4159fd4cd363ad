/* gateway/drop.c - see gateway/drop.h */
#include "gateway/drop.h"

#include "base/confine.h"
#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

static int user_become(const char *user, struct err *e)
{
	const struct passwd *pw = getpwnam(user);
	uid_t uid = pw ? pw->pw_uid : NOBODY;
	gid_t gid = pw ? pw->pw_gid : NOBODY;

	if (!pw)
		log_warn("there is no user '%s' (see berth-gateway(8)): running as nobody", user);
	if (!uid)
		return err_set(e, EINVAL, "user", "the gateway does not run as root");
	/* While we may: with the user the right to do it goes. */
	for (unsigned long n = 0; prctl(PR_CAPBSET_READ, n, 0, 0, 0) >= 0; n++)
		prctl(PR_CAPBSET_DROP, n, 0, 0, 0);
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_set(e, errno, "user", "become %s", user);
	return 0;
}

int drop(const char *user, struct err *e)
{
	int r = geteuid() == 0 ? user_become(user, e) : 0;

	if (r < 0)
		return r;
	/* A user of its own may still be attached to by its other processes. */
	prctl(PR_SET_DUMPABLE, 0);
	return confine_enter(&(struct confine){.unix_sockets = true}, e);
}
