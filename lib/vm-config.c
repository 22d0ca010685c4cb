#include <errno.h>
#include <stddef.h>
#include <sys/random.h>
#include <time.h>

#include "agent/protocol.h"
#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/fs-server.h"
#include "lib/template.h"
#include "lib/vm-config.h"
#include "lib/vm-size.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "netns/netns.h"

#define PCIE_PORTS 8

static int check_share(const struct config *c, const struct hv_ops *ops, struct error *err)
{
	bool is_served = fs_server_is_wanted(c);
	unsigned cap = is_served ? HV_CAP_FS_VIRTIO : HV_CAP_FS_9P;

	if (!is_served && !str_eq(c->shared_fs, "9p"))
		return error_set(err, EINVAL, "unknown shared file system '%s'", c->shared_fs);
	if (!(ops->caps & cap))
		return error_set(err, ENOTSUP, "hypervisor '%s' has no shared file system '%s'",
		                 ops->name, c->shared_fs);
	return fs_server_check(c, err);
}

const struct hv_ops *vm_config(const struct config *c, struct hv_config *cfg, struct error *err)
{
	const struct hv_ops *ops = hv_find(c->hypervisor);
	enum net_model model;

	*cfg = (struct hv_config){
		.path = c->vmm_path,
		.machine = c->machine,
		.cpu_model = *c->cpu_model ? c->cpu_model : NULL,
		.memory_mib = c->memory_mib,
		.cpus = c->cpus,
		.max = vm_size_reach(c),
		.pcie_ports = PCIE_PORTS,
		.kernel = c->kernel,
		.initrd = c->initrd,
		.cmdline = c->kernel_params,
		.port_name = PROTOCOL_PORT_NAME,
		.channel_fd = -1,
		.log_fd = -1,
		.console_fd = -1,
		.share_fd = -1,
	};
	if (!ops)
		error_set(err, EINVAL, "unknown hypervisor '%s'", c->hypervisor);
	else if (hv_accel_parse(c->accel, &cfg->accel) < 0)
		error_set(err, EINVAL, "unknown acceleration '%s'", c->accel);
	else if (!str_eq(c->template, CONFIG_TEMPLATE_OFF) &&
	         !str_eq(c->template, CONFIG_TEMPLATE_MANUAL) &&
	         !str_eq(c->template, CONFIG_TEMPLATE_AUTO))
		error_set(err, EINVAL, "unknown use of templates '%s'", c->template);
	else if (net_model_parse(c->network_model, &model) < 0)
		error_set(err, EINVAL, "unknown network model '%s'", c->network_model);
	else
		check_share(c, ops, err);
	return err->code ? NULL : ops;
}

char *vm_identity(const struct config *c, struct error *err)
{
	struct hv_config cfg;
	const struct hv_ops *ops = vm_config(c, &cfg, err);

	/* virtiofsd has the memory of its VM. */
	if (!ops || fs_server_is_wanted(c))
		return NULL;
	/* Present is what counts of these. */
	cfg.share_path = "/";
	cfg.share_tag = PROTOCOL_SHARE_TAG;
	return template_identity(ops, &cfg, err);
}

struct json *vm_time(void)
{
	struct json *t = json_new_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_set(t, "sec", json_new_i64(now.tv_sec));
	json_set(t, "nsec", json_new_i64(now.tv_nsec));
	return t;
}

struct json *vm_first_request(const struct config *c)
{
	struct json *j = json_new_object();
	unsigned char random[64];
	auto_free char *entropy = NULL;

	if (getrandom(random, sizeof(random), 0) == sizeof(random))
		entropy = str_hex(random, sizeof(random));
	json_set(j, "entropy", json_new_string(entropy));
	json_set(j, "time", vm_time());
	json_set(j, "share_type", json_new_string(c->shared_fs));
	json_set(j, "share_tag", json_new_string(PROTOCOL_SHARE_TAG));
	return j;
}
