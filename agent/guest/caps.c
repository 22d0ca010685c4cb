/* The five capability sets of a process. */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/log.h"
#include "oci/oci.h"

#define BIT(n) (UINT64_C(1) << (n))

struct cap_state {
	uint64_t effective, permitted, inheritable;
};

static int get(struct cap_state *s)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	s->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	s->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	s->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int set(const struct cap_state *s)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(s->effective >> (32 * i));
		data[i].permitted = (uint32_t)(s->permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(s->inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* Names that this kernel does not have are ignored, as the specification allows. */
static uint64_t parse(const char *field, char *const *names, uint64_t known)
{
	uint64_t bits = 0;

	for (size_t i = 0; names && names[i]; i++) {
		int n = oci_cap_number(names[i]);

		if (n >= 0 && (known & BIT(n)))
			bits |= BIT(n);
		else
			log_warn("process.capabilities.%s: capability '%s' is unknown or not "
			         "available, ignoring",
			         field, names[i]);
	}
	return bits;
}

void caps_from_oci(const struct oci_capabilities *c, bool is_exec, struct caps *out)
{
	struct cap_state own = { 0 };
	uint64_t lost;

	*out = (struct caps){ 0 };
	if (!c || get(&own) < 0)
		return;
	out->bounding = parse("bounding", c->bounding, own.permitted);
	out->effective = parse("effective", c->effective, own.permitted);
	out->inheritable = parse("inheritable", c->inheritable, own.permitted);
	out->permitted = parse("permitted", c->permitted, own.permitted);
	out->ambient = parse("ambient", c->ambient, own.permitted);

	lost = out->ambient & ~(out->permitted & out->inheritable);
	/* The kernel has no such sets. "runc spec" writes ambient without inheritable, and runc
	 * says nothing about it. What exec inherits was said at create. */
	if (lost && !is_exec && c->inheritable)
		log_warn("process.capabilities.ambient: has capabilities that are not both "
		         "permitted and inheritable, ignoring");
	out->ambient &= ~lost;
}

static int fail(int code, struct error *err)
{
	auto_free char *why = error_text(-code);

	return error_set(err, -code, "process.capabilities: unable to apply caps: %s", why);
}

int caps_drop_bounding(const struct caps *c, struct error *err)
{
	for (int i = 0; i < 64; i++) {
		if (c->bounding & BIT(i))
			continue;
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1) /* not set, or no such capability */
			continue;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return error_sys(err, "process.capabilities.bounding: drop capability %d",
			                 i);
	}
	return 0;
}

int caps_prepare(const struct caps *c, struct error *err)
{
	struct cap_state s;
	int ret = get(&s);

	if (c->effective & ~c->permitted)
		ret = -EPERM;
	s.effective = c->effective;
	s.inheritable = c->inheritable;
	if (ret == 0)
		ret = set(&s);
	if (ret < 0)
		return fail(ret, err);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return error_sys(err, "process.capabilities.ambient: clear");
	for (int i = 0; i < 64; i++)
		if ((c->ambient & BIT(i)) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
			return error_sys(err, "process.capabilities.ambient: raise '%s'",
			                 oci_cap_name(i));
	return 0;
}

int caps_raise_admin(const struct caps *c, struct error *err)
{
	struct cap_state s;
	int ret = get(&s);

	s.effective = c->effective | BIT(CAP_SYS_ADMIN);
	if (ret == 0)
		ret = set(&s);
	return ret < 0 ? error_set(err, -ret, "prepare for the seccomp filter: %s", strerror(-ret))
	               : 0;
}

int caps_finish(const struct caps *c, struct error *err)
{
	struct cap_state s = {
		.effective = c->effective,
		.permitted = c->permitted,
		.inheritable = c->inheritable,
	};
	int ret = set(&s);

	return ret < 0 ? fail(ret, err) : 0;
}
