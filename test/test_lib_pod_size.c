/* What annotations say of the size of a pod. */
#include <string.h>
#include <unistd.h>

#include "lib/pod-size.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

#define MIB (1ull << 20)

static void expect(const char *annotations, uint64_t memory, unsigned cpus)
{
	auto_error struct error err = { 0 };
	auto_free char *text =
		str_fmt("{\"ociVersion\":\"1.0.2\",\"annotations\":{%s}}", annotations);
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);
	struct pod_size s;

	ck_assert_msg(spec != NULL, "%s", err.msg);
	s = pod_size_of(spec);
	ck_assert_msg(s.memory == memory && s.cpus == cpus, "%s: %llu bytes, %u processors",
	              annotations, (unsigned long long)s.memory, s.cpus);
}

START_TEST(each_client_says_it_in_its_way)
{
	expect("", 0, 0);
	expect("\"io.kubernetes.cri.sandbox-memory\":\"1073741824\"", 1024 * MIB, 0);
	expect("\"io.kubernetes.cri.sandbox-cpu-quota\":\"50000\","
	       "\"io.kubernetes.cri.sandbox-cpu-period\":\"100000\"",
	       0, 1);
	expect("\"io.kubernetes.cri-o.PodLinuxResources\":\"{\\\"cpu_period\\\":100000,"
	       "\\\"cpu_quota\\\":100000,\\\"memory_limit_in_bytes\\\":2147483648}\"",
	       2048 * MIB, 1);
}
END_TEST

START_TEST(no_more_processors_than_the_host_has)
{
	expect("\"io.kubernetes.cri.sandbox-cpu-quota\":\"9223372036854775807\","
	       "\"io.kubernetes.cri.sandbox-cpu-period\":\"1\"",
	       0, (unsigned)sysconf(_SC_NPROCESSORS_ONLN));
}
END_TEST

START_TEST(what_is_no_number_says_nothing)
{
	expect("\"io.kubernetes.cri.sandbox-memory\":\"0\"", 0, 0);
	expect("\"io.kubernetes.cri.sandbox-memory\":\"-1\"", 0, 0);
	expect("\"io.kubernetes.cri.sandbox-memory\":\"much\"", 0, 0);
	expect("\"io.kubernetes.cri.sandbox-cpu-quota\":\"50000\"", 0, 0);
	expect("\"io.kubernetes.cri-o.PodLinuxResources\":\"{\"", 0, 0);
	expect("\"io.kubernetes.cri-o.PodLinuxResources\":\"[1]\"", 0, 0);
	expect("\"io.kubernetes.cri-o.PodLinuxResources\":\"{\\\"cpu_quota\\\":-1,"
	       "\\\"cpu_period\\\":100000,\\\"memory_limit_in_bytes\\\":\\\"5\\\"}\"",
	       0, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pod_size");

	tcase_add_test(tc, each_client_says_it_in_its_way);
	tcase_add_test(tc, no_more_processors_than_the_host_has);
	tcase_add_test(tc, what_is_no_number_says_nothing);
	return scratch_run(tc);
}
