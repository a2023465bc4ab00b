/* SPDX-License-Identifier: GPL-2.0-only */
/* A main() for a fuzz target that feeds it every file of its corpus once, and the empty input. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly `size` bytes, so that the sanitizer sees a read beyond its end. */
static void feed(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int feed_file(const char *directory, const char *name)
{
	static uint8_t bytes[INPUT_MAX];
	char path[4096];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	feed(bytes, size);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int files = 0;
	struct dirent *entry;
	DIR *directory;

	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 2;
	}
	directory = opendir(argv[1]);
	if (!directory) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	feed((const uint8_t *)"", 0);
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (feed_file(argv[1], entry->d_name))
			return 1;
		files++;
	}
	closedir(directory);
	if (files == 0) {
		fprintf(stderr, "%s: the corpus is empty\n", argv[1]);
		return 1;
	}
	printf("%u inputs\n", files);
	return 0;
}
