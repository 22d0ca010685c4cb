#include "lib/stats.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json.h"
#include "lib/base/str.h"

#define MAX_NAME 64     /* bytes of a name in memory.stat */
#define MAX_NAMES 256   /* in memory.stat */
#define MAX_DEVICES 256 /* in io */
#define MAX_SIZES 16    /* of huge pages */
#define NSEC_PER_USEC 1000

static const struct json *member(const struct json *object, const char *key, enum json_type type)
{
	const struct json *j = NULL;

	if (object && json_type(object) == JSON_OBJECT)
		j = json_get(object, key);
	return j && json_type(j) == type ? j : NULL;
}

static uint64_t get(const struct json *object, const char *key, uint64_t otherwise)
{
	const struct json *j = member(object, key, JSON_NUMBER);
	uint64_t n;

	return j && json_to_u64(j, &n) == 0 ? n : otherwise;
}

static uint64_t nsec(const struct json *object, const char *key)
{
	uint64_t n = get(object, key, 0);

	return n > UINT64_MAX / NSEC_PER_USEC ? UINT64_MAX : n * NSEC_PER_USEC;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void set(struct json *object, const char *key, uint64_t n)
{
	json_set(object, key, json_new_u64(n));
}

/* runc leaves out many members that are 0. */
static void set_unless_0(struct json *object, const char *key, uint64_t n)
{
	if (n)
		set(object, key, n);
}

static struct json *cpu(const struct json *guest)
{
	struct json *usage = json_new_object(), *throttling = json_new_object();
	struct json *j = json_new_object();

	set_unless_0(usage, "total", nsec(guest, "usage_usec"));
	set(usage, "kernel", nsec(guest, "system_usec"));
	set(usage, "user", nsec(guest, "user_usec"));
	set_unless_0(throttling, "periods", get(guest, "nr_periods", 0));
	set_unless_0(throttling, "throttledPeriods", get(guest, "nr_throttled", 0));
	set_unless_0(throttling, "throttledTime", nsec(guest, "throttled_usec"));
	json_set(j, "usage", usage);
	json_set(j, "throttling", throttling);
	return j;
}

/* Cgroup version 2 has none of it; the members are there all the same. */
static struct json *cpuset(void)
{
	static const char *const keys[] = {
		"cpu_exclusive",   "mem_hardwall",       "mem_exclusive",
		"memory_migrate",  "memory_spread_page", "memory_spread_slab",
		"memory_pressure", "sched_load_balance", "sched_relax_domain_level",
	};
	struct json *j = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		set(j, keys[i], 0);
	return j;
}

static struct json *memory_entry(uint64_t limit, uint64_t usage)
{
	struct json *j = json_new_object();

	set(j, "limit", limit);
	set_unless_0(j, "usage", usage);
	set(j, "failcnt", 0);
	return j;
}

static bool is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && n <= MAX_NAME && s[n] == '\0';
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* memory.stat, sorted by name. NULL: there is none. */
static struct json *raw(const struct json *stat)
{
	const char *names[MAX_NAMES];
	struct json *j = NULL;
	size_t n = 0;

	for (size_t i = 0; stat && i < json_len(stat) && n < MAX_NAMES; i++) {
		const struct json *value = json_value_at(stat, i);
		uint64_t number;

		if (is_name(json_key_at(stat, i)) && json_type(value) == JSON_NUMBER &&
		    json_to_u64(value, &number) == 0)
			names[n++] = json_key_at(stat, i);
	}
	qsort(names, n, sizeof(*names), compare);
	for (size_t i = 0; i < n; i++) {
		j = j ? j : json_new_object();
		set(j, names[i], get(stat, names[i], 0));
	}
	return j;
}

/* As in version 1, swap counts memory and swap together. */
static struct json *memory(const struct json *guest)
{
	const struct json *stat = member(guest, "stat", JSON_OBJECT);
	bool has_swap = member(guest, "swap_current", JSON_NUMBER);
	uint64_t usage = get(guest, "current", 0);
	uint64_t limit = get(guest, "max", guest ? UINT64_MAX : 0);
	uint64_t swap_limit = get(guest, "swap_max", has_swap ? UINT64_MAX : 0);
	struct json *j = json_new_object();

	set_unless_0(j, "cache", get(stat, "file", 0));
	json_set(j, "usage", memory_entry(limit, usage));
	json_set(j, "swap",
	         memory_entry(sum(limit, swap_limit), sum(usage, get(guest, "swap_current", 0))));
	json_set(j, "kernel", memory_entry(0, 0));
	json_set(j, "kernelTCP", memory_entry(0, 0));
	json_set(j, "raw", raw(stat));
	return j;
}

static struct json *pids(const struct json *guest)
{
	struct json *j = json_new_object();

	set_unless_0(j, "current", get(guest, "current", 0));
	set_unless_0(j, "limit", get(guest, "max", 0));
	return j;
}

static void add_io(struct json *list, const struct json *device, const char *op, const char *key)
{
	struct json *j;

	if (!member(device, key, JSON_NUMBER))
		return;
	j = json_new_object();
	set_unless_0(j, "major", get(device, "major", 0));
	set_unless_0(j, "minor", get(device, "minor", 0));
	json_set(j, "op", json_new_string(op));
	set_unless_0(j, "value", get(device, key, 0));
	json_add(list, j);
}

static void set_list(struct json *object, const char *key, struct json *list)
{
	if (json_len(list))
		json_set(object, key, list);
	else
		json_free(list);
}

static struct json *blkio(const struct json *devices)
{
	struct json *bytes = json_new_array(), *count = json_new_array(), *j = json_new_object();

	for (size_t i = 0; devices && i < json_len(devices) && i < MAX_DEVICES; i++) {
		const struct json *d = json_at(devices, i);

		add_io(bytes, d, "Read", "rbytes");
		add_io(bytes, d, "Write", "wbytes");
		add_io(count, d, "Read", "rios");
		add_io(count, d, "Write", "wios");
	}
	set_list(j, "ioServiceBytesRecursive", bytes);
	set_list(j, "ioServicedRecursive", count);
	return j;
}

static bool is_page_size(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n < 8 && s[n] && strchr("KMG", s[n]) && str_eq(s + n + 1, "B");
}

static struct json *hugetlb(const struct json *sizes)
{
	struct json *j = json_new_object();

	for (size_t i = 0; sizes && i < json_len(sizes) && i < MAX_SIZES; i++) {
		const char *size = json_get_string(json_at(sizes, i), "size");
		struct json *entry;

		if (!size || !is_page_size(size))
			continue;
		entry = json_new_object();
		set_unless_0(entry, "usage", get(json_at(sizes, i), "current", 0));
		set(entry, "failcnt", get(json_at(sizes, i), "failures", 0));
		json_set(j, size, entry);
	}
	return j;
}

struct json *stats_of_guest(const struct json *guest)
{
	struct json *j = json_new_object();

	json_set(j, "cpu", cpu(member(guest, "cpu", JSON_OBJECT)));
	json_set(j, "cpuset", cpuset());
	json_set(j, "memory", memory(member(guest, "memory", JSON_OBJECT)));
	json_set(j, "pids", pids(member(guest, "pids", JSON_OBJECT)));
	json_set(j, "blkio", blkio(member(guest, "io", JSON_ARRAY)));
	json_set(j, "hugetlb", hugetlb(member(guest, "hugetlb", JSON_ARRAY)));
	json_set(j, "intel_rdt", json_new_object());
	json_set(j, "network_interfaces", json_new_null());
	return j;
}
