#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor/hypervisor-internal.h"
#include "hypervisor/private-file.h"
#include "hypervisor/qemu-internal.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

enum {
	LOG_QUOTE_MAX = 600, /* bytes of QEMU's log in an error message */
	RELEASE_WAIT_MS = 10000,
	DEATH_WAIT_MS = 500, /* between the end of the control connection and that of QEMU */
};

/* What the caller keeps in its environment is nothing for a process that a guest may own. */
static char **environment(const struct hv_config *cfg)
{
	char **env = NULL;

	strv_push(&env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	strv_push(&env, "LC_ALL=C");
	if (cfg->memory == HV_MEMORY_PRIVATE && cfg->preload) {
		strv_pushf(&env, "LD_PRELOAD=%s", cfg->preload);
		strv_pushf(&env, PRIVATE_FILE_VARIABLE "=%s", cfg->memory_path);
	}
	return env;
}

static int qemu_start(struct hv *hv, const struct hv_config *cfg, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	auto_strv char **argv = qemu_build_args(cfg);
	auto_close int ours = -1, theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_sys(err, "create the control connection of QEMU");
	ours = pair[0];
	theirs = pair[1];
	q->log_fd = -1;
	if (cfg->log_fd >= 0 && (q->log_fd = fcntl(cfg->log_fd, F_DUPFD_CLOEXEC, 3)) < 0)
		return error_sys(err, "duplicate the log of QEMU");

	const struct child_fd fds[] = {
		{ -1, 0 },
		{ cfg->console_fd >= 0 ? cfg->console_fd : cfg->log_fd, 1 },
		{ cfg->log_fd, 2 },
		{ cfg->channel_fd, QEMU_FD_CHANNEL },
		{ theirs, QEMU_FD_QMP },
		{ cfg->share_fd, QEMU_FD_SHARE }, /* last: may be missing */
	};
	auto_strv char **env = environment(cfg);
	const struct child_opts opts = {
		.path = cfg->path,
		.argv = argv,
		.envp = env,
		.cwd = "/",
		.fds = fds,
		.n_fds = ARRAY_SIZE(fds) - (cfg->share_fd < 0),
		.death_signal = SIGKILL,
		.new_session = true,
		.namespaces = cfg->namespaces,
		.prepare = cfg->prepare,
		.prepare_arg = cfg->prepare_arg,
	};
	if (child_spawn(&opts, &hv->pid, &hv->pidfd, err) < 0) {
		hv->pid = 0;
		return error_wrap(err, "start QEMU");
	}
	q->qmp = qmp_new(steal_fd(&ours));
	q->n_ports = cfg->pcie_ports;
	q->release_ms = RELEASE_WAIT_MS;
	qemu_set_size(q, cfg);
	return 0;
}

int qemu_explain(struct qemu *q, struct error *err)
{
	auto_free char *end = NULL, *tail = NULL;
	const int code = err->code;
	siginfo_t how;

	if (code != EPIPE || !child_has_ended(q->hv.pidfd, DEATH_WAIT_MS, &how))
		return -code;
	end = child_end_text(&how);
	tail = hv_log_tail(q->log_fd, LOG_QUOTE_MAX);
	return error_set(err, code, "QEMU %s%s%s", end, *tail ? ": " : "", tail);
}

int qemu_settle(struct qemu *q, struct error *err)
{
	/* The template had none of what is added now. */
	if (q->is_restoring && qemu_restored(&q->hv, QEMU_MIGRATION_LIMIT_MS, err) <= 0)
		return err->code ? -err->code
		                 : error_set(err, ETIMEDOUT, "the VM is still being restored");
	return 0;
}

int qemu_command(struct qemu *q, const char *name, struct json *args, const int *fds, size_t n_fds,
                 struct error *err)
{
	if (qemu_settle(q, err) < 0) {
		json_free(args);
		return -err->code;
	}
	if (qmp_command(q->qmp, name, args, fds, n_fds, NULL, err) < 0)
		return qemu_explain(q, err);
	return 0;
}

static int qemu_pause(struct hv *hv, struct error *err)
{
	return qemu_command(to_qemu(hv), "stop", NULL, NULL, 0, err);
}

static int qemu_resume(struct hv *hv, struct error *err)
{
	return qemu_command(to_qemu(hv), "cont", NULL, NULL, 0, err);
}

static void qemu_close(struct hv *hv)
{
	struct qemu *q = to_qemu(hv);

	qmp_free(steal_ptr(&q->qmp));
	if (q->log_fd > 0) /* 0: start() did not get that far */
		close_fd(&q->log_fd);
}

const struct hv_ops hv_qemu_ops = {
	.name = "qemu",
	.caps = HV_CAP_FS_9P | HV_CAP_FS_VIRTIO | HV_CAP_BLOCK_HOTPLUG | HV_CAP_NET_HOTPLUG |
	        HV_CAP_PAUSE | HV_CAP_TEMPLATE | HV_CAP_GROW,
	.size = sizeof(struct qemu),
	.check = qemu_check,
	.identity = qemu_identity,
	.start = qemu_start,
	.pause = qemu_pause,
	.resume = qemu_resume,
	.save = qemu_save,
	.restore = qemu_restore,
	.restored = qemu_restored,
	.add_device = qemu_add_device,
	.del_device = qemu_del_device,
	.drop_device = qemu_drop_device,
	.grow = qemu_grow,
	.close = qemu_close,
};
