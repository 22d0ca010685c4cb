#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypervisor/hypervisor-internal.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/mock.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

/* No VM: a child that holds the agent channel and the share's connection until it is killed, as a
 * VMM would. */

enum { MAX_MESSAGE = 512, LATE_MS = 500 };

struct mock {
	struct hv hv; /* first member */
	char **calls;
	char **devices;
	char *failing_op;
	int failing_code;
	struct hv_size size, max;
	int timer; /* until it is restored, 0: none */
	bool is_restoring, is_damaged;
};

static struct mock *to_mock(const struct hv *hv)
{
	return container_of(hv, struct mock, hv);
}

char *const *hv_mock_calls(const struct hv *hv)
{
	return to_mock(hv)->calls;
}

void hv_mock_fail(struct hv *hv, const char *op, int code)
{
	struct mock *m = to_mock(hv);

	auto_freep(&m->failing_op);
	m->failing_op = str_dup(op);
	m->failing_code = code;
}

/* Note the call, and fail if that was asked for. detail may be NULL. */
static int record(struct mock *m, const char *op, const char *detail, struct error *err)
{
	strv_pushf(&m->calls, "%s%s%s", op, detail ? " " : "", detail ? detail : "");
	if (m->failing_code && str_eq(op, m->failing_op))
		return error_set(err, m->failing_code, "mock '%s': %s", op,
		                 strerror(m->failing_code));
	return 0;
}

static void child_main(const struct hv_config *cfg, int report)
{
	struct error err = { 0 };
	int keep[2]; /* sorted */
	size_t n = 0;
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (cfg->prepare && cfg->prepare(cfg->prepare_arg, &err) < 0) {
		ssize_t done = write(report, err.msg, strnlen(err.msg, MAX_MESSAGE));

		_exit(done > 0 ? err.code & 0x7f : 127);
	}
	if (cfg->channel_fd >= 0)
		keep[n++] = cfg->channel_fd;
	if (cfg->share_fd >= 0)
		keep[n++] = cfg->share_fd;
	if (n == 2 && keep[0] > keep[1]) {
		keep[0] = cfg->share_fd;
		keep[1] = cfg->channel_fd;
	}
	fs_close_from(0, keep, n);
	for (;;)
		pause();
}

/* Reads to the end: the child closes its end once it is set up. */
static int read_failure(struct hv *hv, int fd, struct error *err)
{
	char text[MAX_MESSAGE + 1];
	ssize_t n;

	do
		n = read(fd, text, MAX_MESSAGE);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n < 0)
		error_sys(err, "start the mock VMM");
	else
		error_set(err, EIO, "start the mock VMM: %.*s", (int)n, text);
	hv_kill_vmm(hv);
	return -err->code;
}

static int mock_start(struct hv *hv, const struct hv_config *cfg, struct error *err)
{
	auto_close int reader = -1, writer = -1;
	int pair[2];
	pid_t pid;

	if (record(to_mock(hv), "start", NULL, err) < 0)
		return -err->code;
	to_mock(hv)->size = (struct hv_size){ cfg->memory_mib, cfg->cpus };
	to_mock(hv)->max = cfg->max;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_sys(err, "create a pipe");
	reader = pair[0];
	writer = pair[1];
	pid = fork();
	if (pid < 0)
		return error_sys(err, "fork");
	if (pid == 0)
		child_main(cfg, writer);
	close_fd(&writer);
	hv->pid = pid;
	hv->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (hv->pidfd < 0) {
		error_sys(err, "open the pid of the mock VMM");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		hv->pid = 0;
		return -err->code;
	}
	return read_failure(hv, reader, err);
}

static int mock_check(const struct hv_config *cfg, struct error *err)
{
	if (cfg->memory_mib == 0 || cfg->cpus == 0)
		return error_set(err, EINVAL, "a VM needs memory and a CPU");
	return 0;
}

static char *mock_identity(const struct hv_config *cfg)
{
	return str_fmt("mock %u %u %u %u", cfg->memory_mib, cfg->cpus, cfg->max.memory_mib,
	               cfg->max.cpus);
}

static int mock_pause(struct hv *hv, struct error *err)
{
	return record(to_mock(hv), "pause", NULL, err);
}

static int mock_resume(struct hv *hv, struct error *err)
{
	return record(to_mock(hv), "resume", NULL, err);
}

static int mock_save(struct hv *hv, int fd, struct error *err)
{
	static const char text[] = "mock";

	if (record(to_mock(hv), "save", NULL, err) < 0)
		return -err->code;
	if (write(fd, text, sizeof(text)) != sizeof(text))
		return error_sys(err, "write the state of the mock VMM");
	return 0;
}

static int mock_restore(struct hv *hv, int fd, int *progress, struct error *err)
{
	struct itimerspec when = { .it_value.tv_nsec = LATE_MS * 1000000L };
	struct mock *m = to_mock(hv);
	char text[sizeof(HV_MOCK_LATE_DAMAGED)] = "";

	if (record(m, "restore", NULL, err) < 0)
		return -err->code;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return error_set(err, EIO, "restore the VM: the state of the mock VMM is empty");
	m->is_damaged = str_eq(text, HV_MOCK_LATE_DAMAGED);
	if (str_eq(text, HV_MOCK_NEVER))
		when.it_value.tv_nsec = 0;
	else if (!m->is_damaged && !str_eq(text, HV_MOCK_LATE))
		return 0;
	m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (m->timer < 0 || timerfd_settime(m->timer, 0, &when, NULL) < 0)
		return error_sys(err, "make a timer");
	m->is_restoring = true;
	*progress = m->timer;
	return 0;
}

static int mock_restored(struct hv *hv, unsigned timeout_ms, struct error *err)
{
	struct mock *m = to_mock(hv);
	struct pollfd p = { .fd = m->timer, .events = POLLIN };

	if (!m->is_restoring)
		return 1;
	if (poll(&p, 1, (int)timeout_ms) <= 0)
		return 0;
	m->is_restoring = false;
	if (m->is_damaged)
		return error_set(err, EIO, "restore the VM: the state of the mock VMM is damaged");
	return 1;
}

static int mock_add_device(struct hv *hv, struct hv_device *dev, struct error *err)
{
	struct mock *m = to_mock(hv);

	if (record(m, "add_device", dev->id, err) < 0)
		return -err->code;
	if (strv_has(m->devices, dev->id))
		return error_set(err, EEXIST, "device '%s' exists already", dev->id);
	strv_push(&m->devices, dev->id);
	snprintf(dev->pci_path, sizeof(dev->pci_path), "%02zx.0/00.0", strv_len(m->devices) & 0xff);
	return 0;
}

static int remove_device(struct mock *m, const char *op, const char *id, struct error *err)
{
	size_t n = strv_len(m->devices), i = 0;

	if (record(m, op, id, err) < 0)
		return -err->code;
	while (i < n && !str_eq(m->devices[i], id))
		i++;
	if (i == n)
		return error_set(err, ENODEV, "remove device '%s': no such device", id);
	auto_freep(&m->devices[i]);
	memmove(&m->devices[i], &m->devices[i + 1], (n - i) * sizeof(m->devices[0]));
	return 0;
}

static int mock_del_device(struct hv *hv, const char *id, struct error *err)
{
	return remove_device(to_mock(hv), "del_device", id, err);
}

static int mock_drop_device(struct hv *hv, const char *id, struct error *err)
{
	return remove_device(to_mock(hv), "drop_device", id, err);
}

static unsigned grown(unsigned now, unsigned wanted, unsigned max)
{
	wanted = wanted < max ? wanted : max;
	return wanted > now ? wanted : now;
}

static int mock_grow(struct hv *hv, struct hv_size *size, struct error *err)
{
	struct mock *m = to_mock(hv);
	auto_free char *detail = str_fmt("%u %u", size->memory_mib, size->cpus);
	int ret = record(m, "grow", detail, err);

	/* A VMM would be waited for, which nobody should do. */
	if (ret == 0 && m->is_restoring)
		ret = error_set(err, EBUSY, "the mock VMM is still being restored");
	if (ret == 0)
		m->size = (struct hv_size){
			grown(m->size.memory_mib, size->memory_mib, m->max.memory_mib),
			grown(m->size.cpus, size->cpus, m->max.cpus),
		};
	*size = m->size;
	return ret;
}

static void mock_close(struct hv *hv)
{
	struct mock *m = to_mock(hv);

	strv_freep(&m->calls);
	strv_freep(&m->devices);
	auto_freep(&m->failing_op);
	if (m->timer > 0)
		close_fd(&m->timer);
}

const struct hv_ops hv_mock_ops = {
	.name = "mock",
	.caps = HV_CAP_FS_9P | HV_CAP_FS_VIRTIO | HV_CAP_BLOCK_HOTPLUG | HV_CAP_NET_HOTPLUG |
	        HV_CAP_PAUSE | HV_CAP_TEMPLATE | HV_CAP_GROW,
	.size = sizeof(struct mock),
	.check = mock_check,
	.identity = mock_identity,
	.start = mock_start,
	.pause = mock_pause,
	.resume = mock_resume,
	.save = mock_save,
	.restore = mock_restore,
	.restored = mock_restored,
	.add_device = mock_add_device,
	.del_device = mock_del_device,
	.drop_device = mock_drop_device,
	.grow = mock_grow,
	.close = mock_close,
};
