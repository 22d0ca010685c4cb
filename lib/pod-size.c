#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/pod-size.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define CRI "io.kubernetes.cri.sandbox-"
#define CRIO "io.kubernetes.cri-o.PodLinuxResources"
#define MAX_RESOURCES (64u << 10) /* bytes of an annotation */

static uint64_t number(const struct oci_spec *spec, const char *key)
{
	const char *text = oci_annotation_get(spec, key);
	uint64_t n = 0;

	return text && str_to_u64(text, 1, INT64_MAX, &n) == 0 ? n : 0;
}

static uint64_t member(const struct json *j, const char *key)
{
	int64_t n = json_get_i64(j, key, 0);

	return n > 0 ? (uint64_t)n : 0;
}

/* Processors that a quota keeps busy. */
static unsigned cpus_of(uint64_t quota, uint64_t period)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t n = period ? quota / period + (quota % period > 0) : 0;

	return n < (uint64_t)host ? (unsigned)n : (unsigned)host;
}

struct pod_size pod_size_of(const struct oci_spec *spec)
{
	const char *text = oci_annotation_get(spec, CRIO);
	size_t len = text ? strlen(text) : 0;
	auto_error struct error none = { 0 };
	auto_json struct json *j = NULL;
	struct pod_size s = {
		.memory = number(spec, CRI "memory"),
		.cpus = cpus_of(number(spec, CRI "cpu-quota"), number(spec, CRI "cpu-period")),
	};

	if (len && len <= MAX_RESOURCES)
		j = json_parse(text, len, false, &none);
	if (!j || json_type(j) != JSON_OBJECT)
		return s;
	if (!s.memory)
		s.memory = member(j, "memory_limit_in_bytes");
	if (!s.cpus)
		s.cpus = cpus_of(member(j, "cpu_quota"), member(j, "cpu_period"));
	return s;
}
