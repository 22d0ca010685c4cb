#include "oci/table-internal.h"

static const char *const image_formats[] = { "raw", "qcow2", "vdi", "vmdk", "vhd", NULL };

static const struct oci_rule rule_format = { .what = "image format", .names = image_formats };

/* config-vm.md: every path is absolute, in the mount namespace of the runtime. */
#define F_PATH(s, m, key, ...) F_STR(s, m, key, .rule = &oci_rule_absolute, __VA_ARGS__)

static const struct oci_field oci_vm_hypervisor_fields[] = {
	F_PATH(oci_vm_hypervisor, path, "path", .required = true),
	F_STRV(oci_vm_hypervisor, parameters, "parameters"),
};
static OCI_TYPE(oci_vm_hypervisor);

static const struct oci_field oci_vm_kernel_fields[] = {
	F_PATH(oci_vm_kernel, path, "path", .required = true),
	F_STRV(oci_vm_kernel, parameters, "parameters"),
	F_PATH(oci_vm_kernel, initrd, "initrd"),
};
static OCI_TYPE(oci_vm_kernel);

static const struct oci_field oci_vm_image_fields[] = {
	F_PATH(oci_vm_image, path, "path", .required = true),
	F_STR(oci_vm_image, format, "format", .required = true, .rule = &rule_format),
};
static OCI_TYPE(oci_vm_image);

static const struct oci_field oci_vm_iomem_fields[] = {
	F_U64(oci_vm_iomem, first_gfn, "firstGFN"),
	F_U64(oci_vm_iomem, first_mfn, "firstMFN", .required = true),
	F_U64(oci_vm_iomem, nr_mfns, "nrMFNs", .required = true),
};
static OCI_TYPE(oci_vm_iomem);

static const struct oci_field oci_vm_hw_config_fields[] = {
	F_PATH(oci_vm_hw_config, device_tree, "deviceTree"),
	F_U32(oci_vm_hw_config, vcpus, "vcpus"),
	F_U64(oci_vm_hw_config, memory, "memory"),
	F_STRV(oci_vm_hw_config, dtdevs, "dtdevs"),
	F_ARRAY(oci_vm_hw_config, iomems, "iomems", oci_vm_iomem),
	F_U32S(oci_vm_hw_config, irqs, "irqs"),
};
static OCI_TYPE(oci_vm_hw_config);

static const struct oci_field oci_vm_fields[] = {
	F_OBJ(oci_vm, hypervisor, "hypervisor", oci_vm_hypervisor),
	F_OBJ(oci_vm, kernel, "kernel", oci_vm_kernel, .required = true),
	F_OBJ(oci_vm, image, "image", oci_vm_image),
	F_OBJ(oci_vm, hw_config, "hwConfig", oci_vm_hw_config),
};
OCI_TYPE(oci_vm);
