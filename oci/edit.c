#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

/* One more zeroed element behind the n that an array has. */
static void *grow(void *elements, size_t n, size_t size)
{
	char *grown = xreallocarray(elements, n + 1, size);

	memset(grown + n * size, 0, size);
	return grown;
}

static void remove_element(const struct oci_type *type, void *elements, size_t *n, size_t i)
{
	char *element = (char *)elements + i * type->size;

	oci_free_fields(type, element);
	memmove(element, element + type->size, (*n - i - 1) * type->size);
	(*n)--;
}

struct oci_mount *oci_spec_find_mount(const struct oci_spec *spec, const char *destination)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (str_eq(spec->mounts[i].destination, destination))
			return &spec->mounts[i];
	return NULL;
}

struct oci_namespace *oci_namespace_find(const struct oci_spec *spec, const char *type)
{
	const struct oci_linux *l = spec->linux_;

	for (size_t i = 0; l && i < l->n_namespaces; i++)
		if (str_eq(l->namespaces[i].type, type))
			return &l->namespaces[i];
	return NULL;
}

static struct oci_pair *find_annotation(const struct oci_spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->n_annotations; i++)
		if (str_eq(spec->annotations[i].key, key))
			return &spec->annotations[i];
	return NULL;
}

struct oci_resources *oci_resources_of(const struct oci_spec *spec)
{
	return spec->linux_ ? spec->linux_->resources : NULL;
}

const char *oci_annotation_get(const struct oci_spec *spec, const char *key)
{
	const struct oci_pair *pair = find_annotation(spec, key);

	return pair ? pair->value : NULL;
}

void oci_annotation_set(struct oci_spec *spec, const char *key, const char *value)
{
	struct oci_pair *pair = find_annotation(spec, key);
	char *copy = str_dup(value); /* before the free: value may be the old one */

	if (!pair) {
		spec->annotations = grow(spec->annotations, spec->n_annotations, sizeof(*pair));
		pair = &spec->annotations[spec->n_annotations++];
		pair->key = str_dup(key);
	}
	free(pair->value);
	pair->value = copy;
}

void oci_annotation_del(struct oci_spec *spec, const char *key)
{
	struct oci_pair *pair = find_annotation(spec, key);

	if (!pair)
		return;
	free(pair->key);
	free(pair->value);
	spec->n_annotations--;
	memmove(pair, pair + 1,
	        (size_t)(spec->annotations + spec->n_annotations - pair) * sizeof(*pair));
}

static struct oci_linux *need_linux(struct oci_spec *spec)
{
	if (!spec->linux_)
		spec->linux_ = xzalloc(sizeof(*spec->linux_));
	return spec->linux_;
}

struct oci_mount *oci_spec_add_mount(struct oci_spec *spec)
{
	spec->mounts = grow(spec->mounts, spec->n_mounts, sizeof(*spec->mounts));
	return &spec->mounts[spec->n_mounts++];
}

struct oci_device *oci_spec_add_device(struct oci_spec *spec)
{
	struct oci_linux *l = need_linux(spec);

	l->devices = grow(l->devices, l->n_devices, sizeof(*l->devices));
	return &l->devices[l->n_devices++];
}

struct oci_namespace *oci_spec_add_namespace(struct oci_spec *spec, const char *type,
                                             const char *path)
{
	struct oci_linux *l = need_linux(spec);
	struct oci_namespace *ns;

	l->namespaces = grow(l->namespaces, l->n_namespaces, sizeof(*l->namespaces));
	ns = &l->namespaces[l->n_namespaces++];
	ns->type = str_dup(type);
	ns->path = str_dup(path);
	return ns;
}

void oci_spec_del_mount(struct oci_spec *spec, size_t i)
{
	remove_element(&oci_mount_type, spec->mounts, &spec->n_mounts, i);
}

void oci_hooks_del_create_container(struct oci_hooks *hooks, size_t i)
{
	remove_element(&oci_hook_type, hooks->create_container, &hooks->n_create_container, i);
}

void oci_spec_del_device(struct oci_spec *spec, size_t i)
{
	remove_element(&oci_device_type, spec->linux_->devices, &spec->linux_->n_devices, i);
}

void oci_spec_del_net_device(struct oci_spec *spec, size_t i)
{
	struct oci_linux *l = spec->linux_;

	free(l->net_devices[i].key); /* is none of its type's fields */
	remove_element(&oci_net_device_type, l->net_devices, &l->n_net_devices, i);
}

void oci_spec_del_namespace(struct oci_spec *spec, size_t i)
{
	struct oci_linux *l = spec->linux_;

	remove_element(&oci_namespace_type, l->namespaces, &l->n_namespaces, i);
}
