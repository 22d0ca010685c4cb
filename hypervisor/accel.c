#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hypervisor/accel-internal.h"
#include "hypervisor/hypervisor.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

enum {
	/* Real KVM needs well under 1 ms, a host that interprets guest code over 100 ms. */
	SLOW_USEC = 20000,
	MAX_CACHE = 512, /* bytes */
};

static const char *const accel_names[] = {
	[HV_ACCEL_AUTO] = "auto",
	[HV_ACCEL_KVM] = "kvm",
	[HV_ACCEL_TCG] = "tcg",
};

int hv_accel_parse(const char *name, enum hv_accel *accel)
{
	for (size_t i = 0; i < ARRAY_SIZE(accel_names); i++)
		if (str_eq(name, accel_names[i])) {
			*accel = (enum hv_accel)i;
			return 0;
		}
	return -EINVAL;
}

const char *hv_accel_name(enum hv_accel accel)
{
	return accel_names[accel];
}

/* What a cached verdict is good for: this boot, this device node (also when it is missing). NULL:
 * cannot be told. */
static char *cache_key(const char *device)
{
	auto_error struct error ignored = { 0 };
	auto_free char *boot = NULL;
	struct stat st = { 0 };
	size_t len = 0;

	if (fs_read("/proc/sys/kernel/random/boot_id", 64, &boot, &len, &ignored) < 0)
		return NULL;
	while (len > 0 && boot[len - 1] == '\n')
		boot[--len] = '\0';
	if (stat(device, &st) < 0)
		st = (struct stat){ 0 };
	return str_fmt("vcrt-kvm-probe 2 %s %u:%u:%llu ", boot, major(st.st_rdev),
	               minor(st.st_rdev), (unsigned long long)st.st_ino);
}

/* 0 and the cached fault ("" when KVM works). Anything odd about the file, and it does not count.
 */
static int cache_read(const char *file, const char *key, char **fault)
{
	auto_error struct error ignored = { 0 };
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	auto_free char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & (S_IWGRP | S_IWOTH))
		return -EINVAL;
	if (fs_read_fd(fd, file, MAX_CACHE, &text, &len, &ignored) < 0 || strlen(text) != len ||
	    !str_starts(text, key) || !str_ends(text, "\n"))
		return -EINVAL;
	text[len - 1] = '\0';
	if (strpbrk(text, "\n\r\033"))
		return -EINVAL;
	*fault = str_dup(text + strlen(key));
	return 0;
}

static void cache_write(const char *file, const char *key, const char *fault)
{
	auto_error struct error err = { 0 };
	auto_free char *text = str_fmt("%s%s\n", key, fault);

	/* Without it the next start probes again. */
	if (strlen(text) <= MAX_CACHE &&
	    fs_write_atomic_at(AT_FDCWD, file, text, strlen(text), 0600, false, &err) < 0)
		log_debug("%s", err.msg);
}

static int probe(const char *device, struct error *err)
{
	unsigned usec = 0, again = 0;

	if (access(device, R_OK | W_OK) < 0)
		return error_sys(err, "open '%s'", device);
	if (kvm_time_loop(device, &usec, err) < 0)
		return -err->code;
	if (usec <= SLOW_USEC)
		return 0;
	/* A busy host may have been at something else: what is slow twice is slow. */
	if (kvm_time_loop(device, &again, err) < 0)
		return -err->code;
	if (again <= SLOW_USEC)
		return 0;
	return error_set(err, ENODEV,
	                 "'%s': guest code is interpreted here (%u ms for a loop of 1 ms)", device,
	                 (again < usec ? again : usec) / 1000);
}

/* Will it be so for the rest of this boot? A lack of anything may pass, permissions change. */
static bool is_lasting(int code)
{
	static const int passing[] = { EACCES, EPERM,  EAGAIN, EINTR,    ENOMEM,
		                       EMFILE, ENFILE, EBUSY,  ETIMEDOUT };

	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		if (code == passing[i])
			return false;
	return true;
}

static int check_kvm(const char *device, const char *cache_file, struct error *err)
{
	auto_free char *key = cache_file ? cache_key(device) : NULL;
	auto_free char *fault = NULL;

	if (key && cache_read(cache_file, key, &fault) == 0)
		return *fault ? error_set(err, ENODEV, "%s", fault) : 0;
	probe(device, err);
	if (key && is_lasting(err->code))
		cache_write(cache_file, key, err->code ? err->msg : "");
	return -err->code;
}

int hv_probe_accel(enum hv_accel wanted, const char *kvm_device, const char *cache_file,
                   enum hv_accel *accel, char **why, struct error *err)
{
	auto_error struct error fault = { 0 };

	if (wanted == HV_ACCEL_TCG) {
		*accel = HV_ACCEL_TCG;
		*why = NULL;
		return 0;
	}
	if (check_kvm(kvm_device, cache_file, &fault) == 0) {
		*accel = HV_ACCEL_KVM;
		*why = NULL;
		return 0;
	}
	if (wanted == HV_ACCEL_KVM) {
		error_move(err, &fault);
		return error_wrap(err, "KVM does not work");
	}
	*accel = HV_ACCEL_TCG;
	*why = str_fmt("KVM does not work, VMs are emulated and slow: %s", fault.msg);
	return 0;
}
