#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "agent/guest/size.h"
#include "agent/guest/work.h"
#include "agent/protocol.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define CPUS "/sys/devices/system/cpu"
#define USABLE_CPUS "/sys/fs/cgroup/cpuset.cpus.effective"
#define FILE_MAX 65536
#define STEP_NS 2000000
#define LAST_WORDS_MS 10000 /* for the child to say what is missing */
#define MAX_MIB (1u << 24)
#define MAX_CPUS 8192

static uint64_t first_memory; /* bytes, before anything was plugged */

static uint64_t present_memory(void)
{
	struct sysinfo s;

	return sysinfo(&s) < 0 ? 0 : (uint64_t)s.totalram * s.mem_unit;
}

void size_note(void)
{
	first_memory = present_memory();
}

/* ---- child ---- */

struct size {
	uint64_t memory; /* MiB beyond the first */
	unsigned cpus;
	guest_done_fn done;
	void *arg;
};

/* CPUs in a file that lists them, "0-3,7"; 0: it cannot be read. */
static unsigned count_cpus(const char *file)
{
	auto_error struct error ignored = { 0 };
	auto_free char *text = NULL;
	unsigned count = 0, first, last;
	const char *list;

	if (fs_read(file, FILE_MAX, &text, NULL, &ignored) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	list = text;
	while (oci_next_cpus(&list, &first, &last) == 1)
		count += last - first + 1;
	return count;
}

/* Memory is used as soon as it is there (a parameter of the kernel); a CPU waits to be told. */
static void start_cpus(void)
{
	DIR *d = opendir(CPUS);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_free char *file = str_fmt(CPUS "/%s/online", e->d_name), *text = NULL;
		auto_error struct error ignored = { 0 };

		if (!str_starts(e->d_name, "cpu") || e->d_name[3] < '0' || e->d_name[3] > '9')
			continue;
		if (fs_read(file, FILE_MAX, &text, NULL, &ignored) == 0 && *text == '0')
			fs_write_value(file, "1", &ignored); /* tried again */
	}
	if (d)
		closedir(d);
}

static unsigned usable_cpus(void)
{
	unsigned n = count_cpus(USABLE_CPUS);

	/* A kernel without cpusets has no such file. */
	return n ? n : count_cpus(CPUS "/online");
}

static int take(void *in, struct buf *out, struct error *err)
{
	const struct size *s = in;
	uint64_t end = loop_now_ms() + PROTOCOL_SIZE_SECONDS * 1000, more;
	unsigned cpus;

	(void)out;
	for (;;) {
		cpus = usable_cpus();
		more = (present_memory() - first_memory) >> 20;
		if (cpus >= s->cpus && more >= s->memory)
			return 0;
		if (loop_now_ms() >= end)
			break;
		if (cpus < s->cpus)
			start_cpus();
		nanosleep(&(struct timespec){ .tv_nsec = STEP_NS }, NULL);
	}
	return error_set(err, ETIMEDOUT,
	                 "the guest has %llu MiB of the %llu MiB that were added, and %u of %u "
	                 "CPUs, after %d seconds",
	                 (unsigned long long)more, (unsigned long long)s->memory, cpus, s->cpus,
	                 PROTOCOL_SIZE_SECONDS);
}

/* ---- parent ---- */

static void on_taken(void *arg, const char *data, size_t len, const struct error *err)
{
	struct size *s = arg;

	(void)data;
	(void)len;
	s->done(s->arg, err);
	free(s);
}

int size_take(struct loop *loop, const struct json *request, guest_done_fn done, void *arg,
              struct error *err)
{
	int64_t memory = json_get_i64(request, "memory", 0);
	int64_t cpus = json_get_i64(request, "cpus", 0);
	struct size *s;
	struct work_plan plan = {
		.what = "take what was added to the VM",
		.fn = take,
		.keep = -1,
		.limit_ms = PROTOCOL_SIZE_SECONDS * 1000 + LAST_WORDS_MS,
		.done = on_taken,
	};

	if (memory < 0 || memory > MAX_MIB || cpus < 0 || cpus > MAX_CPUS)
		return error_set(err, EINVAL, "odd \"memory\" or \"cpus\" in a request");
	s = xzalloc(sizeof(*s));
	*s = (struct size){ (uint64_t)memory, (unsigned)cpus, done, arg };
	plan.in = plan.arg = s;
	if (work_start(loop, &plan, err))
		return 0;
	free(s);
	return -err->code;
}
