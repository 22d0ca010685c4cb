/* What a program finds to be random at its very start, one value in a line: bytes of getrandom(2),
 * the kernel's seed for the program (its stack canary and hash seeds come from there), a UUID of
 * the kernel, the addresses of its stack and of a mapping. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>

static void print_bytes(const char *name, const unsigned char *bytes)
{
	printf("%s ", name);
	for (int i = 0; i < 16; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

int main(void)
{
	unsigned char bytes[16];
	char uuid[64] = "";
	FILE *f;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return 1;
	print_bytes("getrandom", bytes);
	print_bytes("seed", (const unsigned char *)getauxval(AT_RANDOM));
	f = fopen("/proc/sys/kernel/random/uuid", "r");
	if (!f || !fgets(uuid, sizeof(uuid), f))
		return 1;
	printf("uuid %s", uuid);
	printf("stack %p\n", (void *)&f);
	printf("mapping %p\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	return 0;
}
