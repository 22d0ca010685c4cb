/* What of linux.resources becomes the guest's. */
#include "lib/resources.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/scratch.h"

static struct oci_resources *parse(const char *json)
{
	auto_error struct error err = { 0 };
	struct oci_resources *r = oci_resources_parse(json, strlen(json), &err);

	ck_assert_msg(r != NULL, "%s", err.msg);
	return r;
}

static void expect_guest(const char *host, unsigned cpus, const char *guest)
{
	auto_oci_resources struct oci_resources *r = parse(host);
	auto_json struct json *j = NULL;
	auto_free char *text = NULL;

	resources_for_guest(r, cpus);
	j = oci_resources_to_json(r);
	text = json_print(j, false);
	ck_assert_str_eq(text, guest);
}

START_TEST(processors_become_the_guests)
{
	static const struct {
		const char *host;
		unsigned cpus;
		const char *guest;
	} lists[] = {
		{ "0", 1, "0" },     { "0-3", 4, "0-3" }, { "1,3", 4, "1,3" }, { "7", 1, "0" },
		{ "4-7", 2, "0-1" }, { "2,5", 4, "0-1" }, { "3-3", 2, "0" },   { "x", 2, "x" },
		{ "3-1", 2, "3-1" }, { "", 2, "" },       { "1-", 2, "1-" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		auto_free char *host = str_fmt("{\"cpu\":{\"cpus\":\"%s\"}}", lists[i].host);
		auto_free char *guest = str_fmt("{\"cpu\":{\"cpus\":\"%s\"}}", lists[i].guest);

		expect_guest(host, lists[i].cpus, guest);
	}
	expect_guest("{\"cpu\":{\"mems\":\"1\"}}", 8, "{\"cpu\":{\"mems\":\"0\"}}");
}
END_TEST

START_TEST(block_devices_stay_on_the_host)
{
	expect_guest("{\"blockIO\":{\"weight\":5,\"weightDevice\":[{\"major\":8,\"minor\":0,"
	             "\"weight\":9,\"x\":1}],\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,"
	             "\"rate\":1}],\"throttleWriteIOPSDevice\":[]}}",
	             1, "{\"blockIO\":{\"weight\":5}}");
	expect_guest("{\"pids\":{\"limit\":5}}", 1, "{\"pids\":{\"limit\":5}}");
	resources_for_guest(NULL, 1);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("resources");

	tcase_add_test(tc, processors_become_the_guests);
	tcase_add_test(tc, block_devices_stay_on_the_host);
	return scratch_run(tc);
}
