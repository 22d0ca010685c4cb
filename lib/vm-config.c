#include <errno.h>
#include <stddef.h>

#include "agent/protocol.h"
#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/vm-config.h"
#include "lib/base/error.h"

#define PCIE_PORTS 8

const struct hv_ops *vm_config(const struct config *c, struct hv_config *cfg, struct error *err)
{
	const struct hv_ops *ops = hv_find(c->hypervisor);

	*cfg = (struct hv_config){
		.path = c->vmm_path,
		.machine = c->machine,
		.cpu_model = *c->cpu_model ? c->cpu_model : NULL,
		.memory_mib = c->memory_mib,
		.cpus = c->cpus,
		.pcie_ports = PCIE_PORTS,
		.kernel = c->kernel,
		.initrd = c->initrd,
		.cmdline = c->kernel_params,
		.port_name = PROTOCOL_PORT_NAME,
		.channel_fd = -1,
		.log_fd = -1,
		.console_fd = -1,
	};
	if (!ops)
		error_set(err, EINVAL, "unknown hypervisor '%s'", c->hypervisor);
	else if (hv_accel_parse(c->accel, &cfg->accel) < 0)
		error_set(err, EINVAL, "unknown acceleration '%s'", c->accel);
	return err->code ? NULL : ops;
}
