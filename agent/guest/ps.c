/* The processes of a container, as "ps -ef" shows them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/work.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define FILE_MAX (64 * 1024)
#define CMD_MAX 4096
#define PS_MS 10000
#define MAX_ROWS 4096 /* the host shows no more */
#define MAX_ANCESTORS 4096

struct row {
	pid_t pid, ppid;
	char *comm;
	unsigned tty;
	unsigned long long ticks, start; /* CPU time; start since boot */
	unsigned long long vsz, rss;     /* KiB */
	unsigned uid;
	char stat[8]; /* as the column of ps */
};

static char *read_proc(pid_t pid, const char *name, size_t *len)
{
	auto_error struct error ignored = { 0 };
	auto_free char *path = str_fmt("/proc/%d/%s", (int)pid, name);
	char *text = NULL;

	return fs_read(path, FILE_MAX, &text, len, &ignored) < 0 ? NULL : text;
}

/* False when the process is gone. */
static bool read_stat(pid_t pid, struct row *r)
{
	auto_free char *text = read_proc(pid, "stat", NULL);
	char *open = text ? strchr(text, '(') : NULL;
	char *close = open ? strrchr(open, ')') : NULL; /* the name may have any character */
	unsigned long long utime, stime, vsize, rss;
	int tty, session, foreground, group, threads, nice;
	char state;

	if (!close)
		return false;
	*close = '\0';
	if (sscanf(close + 1,
	           " %c %d %d %d %d %d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %d %d %*d %llu "
	           "%llu %llu",
	           &state, &r->ppid, &group, &session, &tty, &foreground, &utime, &stime, &nice,
	           &threads, &r->start, &vsize, &rss) != 13)
		return false;
	snprintf(r->stat, sizeof(r->stat), "%c%s%s%s%s", state,
	         nice < 0   ? "<"
	         : nice > 0 ? "N"
	                    : "",
	         session == pid ? "s" : "", threads > 1 ? "l" : "", foreground == group ? "+" : "");
	r->vsz = vsize / 1024;
	r->rss = rss * ((unsigned long long)sysconf(_SC_PAGESIZE) / 1024);
	r->pid = pid;
	r->tty = (unsigned)tty;
	r->ticks = utime + stime;
	r->comm = str_dup(open + 1);
	str_clean(r->comm, strlen(r->comm));
	return true;
}

static unsigned read_uid(pid_t pid)
{
	auto_free char *text = read_proc(pid, "status", NULL);
	const char *line = text ? strstr(text, "\nUid:") : NULL;

	return line ? (unsigned)strtoul(line + 5, NULL, 10) : 0;
}

static char *command(const struct row *r)
{
	size_t len = 0;
	auto_free char *text = read_proc(r->pid, "cmdline", &len);

	while (text && len > 0 && text[len - 1] == '\0')
		len--;
	if (!text || len == 0)
		return str_fmt("[%s]", r->comm);
	if (len > CMD_MAX)
		len = CMD_MAX;
	str_clean(text, len);
	text[len] = '\0';
	return steal_ptr(&text);
}

static char *tty_name(unsigned tty)
{
	unsigned maj = (tty >> 8) & 0xfff, min = (tty & 0xff) | ((tty >> 12) & 0xfff00);

	if (maj >= 136 && maj <= 143)
		return str_fmt("pts/%u", (maj - 136) * 256 + min);
	return tty ? str_fmt("%u:%u", maj, min) : str_dup("?");
}

/* Hours and minutes today, month and day before that. */
static char *start_time(unsigned long long start, unsigned long hz)
{
	struct timespec now, boot;
	struct tm started, today;
	char text[16];
	time_t t;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	t = now.tv_sec - boot.tv_sec + (time_t)(start / hz);
	gmtime_r(&t, &started);
	gmtime_r(&now.tv_sec, &today);
	strftime(text, sizeof(text),
	         started.tm_yday == today.tm_yday && started.tm_year == today.tm_year ? "%H:%M"
	                                                                              : "%b%d",
	         &started);
	return str_dup(text);
}

/* Tenths of a per cent of one CPU over the life of the process. */
static int64_t usage(const struct row *r, unsigned long hz)
{
	struct timespec boot;
	unsigned long long life;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	life = (unsigned long long)boot.tv_sec * hz;
	life = life > r->start ? life - r->start : 0;
	return life ? (int64_t)(r->ticks * 1000 / life) : 0;
}

/* Tenths of a per cent of the machine's memory. */
static int64_t memory_share(const struct row *r)
{
	struct sysinfo info;
	unsigned long long kib;

	if (sysinfo(&info) < 0)
		return 0;
	kib = (unsigned long long)info.totalram * info.mem_unit / 1024;
	return kib ? (int64_t)(r->rss * 1000 / kib) : 0;
}

static pid_t parent_of(const struct row *rows, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].pid == pid)
			return rows[i].ppid;
	return 0;
}

/* Which process of ours this one descends from. */
static const char *owner(const struct container *ct, const struct row *rows, size_t n, pid_t pid)
{
	for (int i = 0; pid > 1 && i < MAX_ANCESTORS; i++) {
		for (const struct process *p = ct->processes; p; p = p->next)
			if (p->pid == pid)
				return p->name;
		pid = parent_of(rows, n, pid);
	}
	return "";
}

static struct json *row_json(const struct row *r, const char *process)
{
	unsigned long hz = (unsigned long)sysconf(_SC_CLK_TCK);
	unsigned long long seconds = r->ticks / hz;
	auto_free char *uid = r->uid ? str_fmt("%u", r->uid) : str_dup("root");
	auto_free char *cmd = command(r), *tty = tty_name(r->tty);
	auto_free char *stime = start_time(r->start, hz);
	auto_free char *spent =
		str_fmt("%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
	struct json *j = json_new_object();

	json_set(j, "uid", json_new_string(uid));
	json_set(j, "pid", json_new_i64(r->pid));
	json_set(j, "ppid", json_new_i64(r->ppid));
	json_set(j, "c", json_new_i64(usage(r, hz) / 10));
	json_set(j, "cpu", json_new_i64(usage(r, hz)));
	json_set(j, "memory", json_new_i64(memory_share(r)));
	json_set(j, "vsz", json_new_i64((int64_t)r->vsz));
	json_set(j, "rss", json_new_i64((int64_t)r->rss));
	json_set(j, "stat", json_new_string(r->stat));
	json_set(j, "comm", json_new_string(r->comm));
	json_set(j, "stime", json_new_string(stime));
	json_set(j, "tty", json_new_string(tty));
	json_set(j, "time", json_new_string(spent));
	json_set(j, "cmd", json_new_string(cmd));
	json_set(j, "process", json_new_string(process));
	return j;
}

/* Child: /proc/PID/cmdline of a process that hangs in a page fault can hang, too. */
static int list(void *in, struct buf *out, struct error *err)
{
	const struct container *ct = in;
	auto_free pid_t *pids = NULL;
	auto_free struct row *rows = NULL;
	auto_json struct json *array = json_new_array();
	auto_free char *text = NULL;
	size_t n, found = 0;

	pids = cgroup_pids(&ct->cgroup, &n, err);
	if (!pids)
		return -err->code;
	rows = xcalloc(n + 1, sizeof(*rows));
	for (size_t i = 0; i < n; i++)
		if (pids[i] > 0 && read_stat(pids[i], &rows[found])) {
			rows[found].uid = read_uid(pids[i]);
			found++;
		}
	for (size_t i = 0; i < found && i < MAX_ROWS; i++)
		json_add(array, row_json(&rows[i], owner(ct, rows, found, rows[i].pid)));
	text = json_print(array, false);
	buf_adds(out, text);
	return 0;
}

struct ps {
	guest_rows_fn done;
	void *arg;
};

static void on_list(void *arg, const char *data, size_t len, const struct error *err)
{
	struct ps *p = arg;
	auto_error struct error bad = { 0 };
	struct json *rows = err->code ? NULL : json_parse(data, len, false, &bad);

	p->done(p->arg, rows, err->code ? err : &bad);
	free(p);
}

void guest_ps(struct guest *g, const char *container, guest_rows_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct container *ct = container_find(g, container);
	struct ps *p = xzalloc(sizeof(*p));
	struct work_plan plan = {
		.what = "list the processes",
		.fn = list,
		.in = ct,
		.keep = ct ? ct->cgroup.fd : -1,
		.limit_ms = PS_MS,
		.done = on_list,
		.arg = p,
	};

	*p = (struct ps){ .done = done, .arg = arg };
	if (!ct)
		error_set(&err, ENOENT, "container '%s' does not exist", container);
	if (!err.code && work_start(g->loop, &plan, &err))
		return;
	free(p);
	done(arg, NULL, &err);
}
