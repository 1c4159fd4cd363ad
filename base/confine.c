/* base/confine.c - see base/confine.h. The order: the mount namespace needs CAP_SYS_ADMIN, Landlock forbids mounting, seccomp
 * forbids most of what stands above it. Landlock and capset are raw system calls: the libraries would be larger than their use. */
#include "base/confine.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---------------------------------------------------------------- mounts */

/* What an archive makes below dir can be neither executed nor, being a device node, opened by this process. */
static int mounts_confine(const char *dir, struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_set(e, errno, "confine", "mount namespace");
	/* Slave, not private: what the host unmounts while we run must not stay busy by our copy. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_set(e, errno, "confine", "mounts of our own");
	if (mount(dir, dir, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL) < 0)
		return err_set(e, errno, "confine", "mount of %s", dir);
	return 0;
}

/* ---------------------------------------------------------------- Landlock */

/* Newer than the headers of Debian 12. */
#define FS_REFER     (1ull << 13) /* ABI 2 */
#define FS_TRUNCATE  (1ull << 14) /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define FS_OF_FILES                                                                                                    \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE)
#define NET_BIND    1ull /* ABI 4: TCP */
#define NET_CONNECT 2ull
#define SCOPE_ALL   3ull /* ABI 6: abstract unix sockets, signals */

struct ruleset {
	uint64_t fs, net, scoped;
};

static int beneath_allow(int ruleset, int fd, uint64_t rights, struct err *e)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
	struct stat st;

	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_set(e, errno, "confine", "Landlock rule");
	return 0;
}

/* Those that are there. */
static int paths_allow(int ruleset, const char *const *path, uint64_t rights, struct err *e)
{
	int r = 0;

	for (; !r && path && *path; path++) {
		AUTO_FD fd = open(*path, O_PATH | O_CLOEXEC);

		r = fd < 0 ? 0 : beneath_allow(ruleset, fd, rights, e);
	}
	return r;
}

/* Where programs are, and what they are made of. */
static const char *const programs[] = {"/usr", "/lib", "/lib64", "/bin", "/sbin", NULL};

static int landlock_enter(const struct confine *c, struct err *e)
{
	struct ruleset attr = {.fs = (1ull << 13) - 1};
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION), r;
	size_t size = sizeof attr.fs;
	AUTO_FD ruleset = -1;
	AUTO_FD dir = -1;

	if (abi < 1)
		return 0; /* not built in, or not switched on at boot */
	attr.fs |= (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
	if (abi >= 4) {
		attr.net = (c->serves ? 0 : NET_BIND) | (c->network ? 0 : NET_CONNECT);
		size = offsetof(struct ruleset, scoped);
	}
	if (abi >= 6) {
		attr.scoped = SCOPE_ALL;
		size = sizeof attr;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_set(e, errno, "confine", "Landlock");
	if (c->write_dir) {
		dir = open(c->write_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_set(e, errno, "confine", "%s", c->write_dir);
		if ((r = beneath_allow(ruleset, dir, attr.fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE, e)) < 0)
			return r;
	}
	if (c->read_fd > 0 &&
	    (r = beneath_allow(ruleset, c->read_fd, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, e)) < 0)
		return r;
	if (c->write_fd > 0 && (r = beneath_allow(ruleset, c->write_fd,
						  LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
							  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR,
						  e)) < 0)
		return r;
	if (c->change_fd > 0 &&
	    (r = beneath_allow(ruleset, c->change_fd, attr.fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE, e)) < 0)
		return r;
	if (c->file_fd > 0 &&
	    (r = beneath_allow(ruleset, c->file_fd,
			       LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | (attr.fs & FS_TRUNCATE),
			       e)) < 0)
		return r;
	if ((r = paths_allow(ruleset, c->read_paths, LANDLOCK_ACCESS_FS_READ_FILE, e)) < 0)
		return r;
	if (c->programs &&
	    (r = paths_allow(ruleset, programs,
			     LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
			     e)) < 0)
		return r;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_set(e, errno, "confine", "Landlock");
	return 0;
}

/* ---------------------------------------------------------------- capabilities, seccomp */

static int caps_drop(uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct have[2], data[2];

	for (int n = 0; n < 64 && prctl(PR_CAPBSET_READ, n) >= 0; n++)
		if (!(keep & (1ull << n)) && prctl(PR_CAPBSET_DROP, n) < 0 && errno != EPERM)
			return err_set(e, errno, "confine", "capability bounding set");
	if (syscall(SYS_capget, &header, have) < 0)
		return err_set(e, errno, "confine", "capabilities");
	for (int i = 0; i < 2; i++) {
		uint32_t mask = (uint32_t)(keep >> (32 * i)) & have[i].permitted;

		data[i] = (struct __user_cap_data_struct){.effective = mask, .permitted = mask};
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return err_set(e, errno, "confine", "capabilities");
	return 0;
}

#if defined(__x86_64__)
#define ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH_HERE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH_HERE AUDIT_ARCH_RISCV64
#endif

/* What takes over a machine and what none of us does once confined: programs, other processes, mounts, namespaces, modules, the network. */
static const unsigned denied[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_pidfd_getfd,
	SYS_kcmp,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_unshare,
	SYS_setns,
	SYS_open_by_handle_at,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_syslog,
	SYS_quotactl,
	SYS_fanotify_init,
	SYS_lookup_dcookie,
	SYS_nfsservctl,
};

/* Who connects to others is no server. */
static const unsigned server_calls[] = {SYS_listen, SYS_accept, SYS_accept4};

/* socket(2): of these families or of none. Netlink is how the resolver looks for addresses of our own. Only the low half of the
 * argument is compared: the kernel takes an int. Behind the rule the number of the call is loaded again. */
static unsigned short socket_rule(struct sock_filter *code, const struct confine *c)
{
	const unsigned network[] = {AF_INET, AF_INET6, AF_NETLINK}, local[] = {AF_UNIX},
		       networks[] = {AF_NETLINK, AF_PACKET};
	unsigned family[ARRAY_SIZE(network) + ARRAY_SIZE(local) + ARRAY_SIZE(networks)];
	unsigned short n = 0, n_families = 0;

	for (size_t i = 0; c->network && i < ARRAY_SIZE(network); i++)
		family[n_families++] = network[i];
	for (size_t i = 0; c->unix_sockets && i < ARRAY_SIZE(local); i++)
		family[n_families++] = local[i];
	for (size_t i = 0; c->networks && i < ARRAY_SIZE(networks); i++)
		family[n_families++] = networks[i];
	code[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, (unsigned char)(n_families + 3));
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]));
	for (unsigned short i = 0; i < n_families; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family[i],
							 (unsigned char)(n_families - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	return n;
}

static bool is_wanted(const struct confine *c, unsigned call)
{
	return (call == SYS_setns && c->networks) || ((call == SYS_execve || call == SYS_execveat) && c->programs);
}

static int seccomp_enter(const struct confine *c, struct err *e)
{
#ifdef ARCH_HERE
	struct sock_filter code[ARRAY_SIZE(denied) + 24];
	struct sock_fprog program = {.filter = code};
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_HERE, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	/* The x32 calls, which have numbers of their own. */
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
#endif
	n += socket_rule(code + n, c);
	for (size_t i = 0; c->network && !c->serves && i < ARRAY_SIZE(server_calls); i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, server_calls[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
		/* One that is allowed compares with a number that no call has, so that all distances stay. */
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 is_wanted(c, denied[i]) ? ~0u : denied[i],
							 (unsigned char)(ARRAY_SIZE(denied) - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program.len = n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 && errno != EINVAL)
		return err_set(e, errno, "confine", "seccomp");
#else
	(void)c, (void)e; /* Landlock and capabilities alone on other processors */
#endif
	return 0;
}

static int user_become(const struct confine *c, struct err *e)
{
	if (c->gid && (setgroups(0, NULL) < 0 || setresgid(c->gid, c->gid, c->gid) < 0))
		return err_set(e, errno, "confine", "group %u", c->gid);
	/* Another user loses them all, but for those that caps_drop then leaves. */
	if (c->uid && c->caps && prctl(PR_SET_KEEPCAPS, 1) < 0)
		return err_set(e, errno, "confine", "keep capabilities");
	if (c->uid && setresuid(c->uid, c->uid, c->uid) < 0)
		return err_set(e, errno, "confine", "user %u", c->uid);
	return 0;
}

int confine_become(uint32_t uid, uint32_t gid, uint64_t caps, struct err *e)
{
	int r = user_become(&(struct confine){.uid = uid, .gid = gid}, e);

	return r < 0 ? r : caps_drop(caps, e);
}

int confine_enter(const struct confine *c, struct err *e)
{
	struct rlimit none = {0, 0};
	int r;

	setrlimit(RLIMIT_CORE, &none);
	(void)fd_limit_raise(); /* deep trees hold a descriptor a level; a low limit is reported where it bites */
	umask(0);
	if (c->write_dir && (r = mounts_confine(c->write_dir, e)) < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "confine", "no_new_privs");
	if (!c->all_files && (r = landlock_enter(c, e)) < 0)
		return r;
	if ((r = user_become(c, e)) < 0 || (r = caps_drop(c->caps, e)) < 0)
		return r;
	return seccomp_enter(c, e);
}
