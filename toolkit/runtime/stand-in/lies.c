/* What the stand-in and the make-believe TensorRT share: lies and checksums. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "stand-in.h"

/* A file beside the library. */
static FILE *beside(const char *ending, const char *mode) {
	Dl_info self;
	char path[4096];
	if (!dladdr((const void *)wv_abi, &self)) return NULL;
	snprintf(path, sizeof path, "%s.%s", self.dli_fname, ending);
	return fopen(path, mode);
}

void leave_word(const char *word) {
	FILE *file = beside("told", "w");
	if (!file) return;
	fputs(word, file);
	fclose(file);
}

int lies(const char *word) {
	char words[512];
	FILE *file = beside("lie", "r");
	if (!file) return 0;
	size_t n = fread(words, 1, sizeof words - 1, file);
	fclose(file);
	words[n] = 0;
	char *rest = NULL;
	for (char *w = strtok_r(words, " \n", &rest); w; w = strtok_r(NULL, " \n", &rest))
		if (strcmp(w, word) == 0) return 1;
	return 0;
}

void crash(void) {
	prctl(PR_SET_DUMPABLE, 0); /* a crash on purpose leaves no core file */
	abort();
}

void lie_crash(const char *word) {
	if (lies(word)) crash();
}

/* FNV-1a, 64 bit. */
uint64_t sum_of(const void *data, uint64_t size) {
	uint64_t sum = 0xcbf29ce484222325u;
	for (uint64_t i = 0; i < size; i++) sum = (sum ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
	return sum;
}
