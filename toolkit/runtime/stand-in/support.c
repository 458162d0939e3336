/* The stand-in as a library: its log, threads with a stack, and where it pretends to run. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stand-in.h"

#define LINES 256
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int32_t level;
	char text[WV_WHY];
} lines[LINES];
static uint64_t newest;

void say(int32_t level, const char *text) {
	pthread_mutex_lock(&log_mutex);
	newest++;
	lines[newest % LINES].level = level;
	snprintf(lines[newest % LINES].text, WV_WHY, "%s", text);
	pthread_mutex_unlock(&log_mutex);
}

int32_t wv_log(uint64_t after, uint64_t *number, int32_t *level, char *text) {
	if (!number || !level || !text) return WV_ARGUMENT;
	pthread_mutex_lock(&log_mutex);
	uint64_t oldest = newest >= LINES ? newest - LINES + 1 : 1;
	uint64_t n = after + 1 > oldest ? after + 1 : oldest;
	int32_t status = n > newest ? WV_PENDING : WV_OK;
	if (status == WV_OK) {
		*number = n;
		*level = lines[n % LINES].level;
		memcpy(text, lines[n % LINES].text, WV_WHY);
	}
	pthread_mutex_unlock(&log_mutex);
	return status;
}

int32_t refuse(int32_t status, char *why, const char *text) {
	if (why) snprintf(why, WV_WHY, "%s", text);
	if (status != WV_BUSY && status != WV_ARGUMENT) say(WV_ERROR, text);
	return status;
}

int32_t take_all_memory(char *why) {
	/* The limit on the process is to stop this long before the last round; what is not written to
	 * takes none of the machine's memory. */
	for (int i = 0; i < 256; i++)
		if (!malloc(64 << 20)) return refuse(WV_MEMORY, why, "no memory left in this process");
	return refuse(WV_INTERNAL, why, "16 GiB were given, and no limit held");
}

struct call {
	int32_t (*body)(void *);
	void *with;
	int32_t status;
};

static void *do_call(void *with) {
	struct call *call = with;
	call->status = call->body(call->with);
	return NULL;
}

int32_t aside(int32_t (*body)(void *), void *with) {
	struct call call = {body, with, WV_INTERNAL};
	pthread_t thread;
	if (pthread_create(&thread, NULL, do_call, &call) != 0) return WV_MEMORY;
	pthread_join(thread, NULL);
	return call.status;
}

int32_t wv_abi(void) { return lies("abi") ? WV_ABI + 1 : WV_ABI; }

static int32_t open_runtime(void *with) {
	(void)with;
	return ort_env() ? WV_OK : WV_DEVICE;
}

int32_t wv_runtime_open(wv_runtime **out, char *why) {
	if (!out) return refuse(WV_ARGUMENT, why, "no place for the runtime");
	lie_crash("crash-open");
	if (lies("no-device")) return refuse(WV_DEVICE, why, "there is no CUDA device");
	int32_t status = aside(open_runtime, NULL);
	if (status != WV_OK) return refuse(status, why, "ONNX Runtime does not start");
	wv_runtime *runtime = calloc(1, sizeof *runtime);
	if (!runtime) return refuse(WV_MEMORY, why, "no memory left in this process");
	int32_t version[4] = {10, 3, 0, lies("other-version") ? 30 : 26};
	memcpy(runtime->version, version, sizeof version);
	*out = runtime;
	return WV_OK;
}

void wv_runtime_close(wv_runtime *runtime) { free(runtime); }

int32_t wv_runtime_facts(wv_runtime *runtime, wv_facts *out, char *why) {
	if (!runtime || !out) return refuse(WV_ARGUMENT, why, "no runtime, or no place for its facts");
	while (lies("endless-facts")) leave_word("endless-facts"), usleep(10000);
	wv_facts facts = {.headers = {10, 3, 0}, .cuda = 12060, .driver = 12060, .capability = {8, 7},
		.multiprocessors = 8, .memory = 8LL << 30, .device = "stand-in (ONNX Runtime on the processor)"};
	memcpy(facts.library, runtime->version, sizeof facts.library);
	*out = facts;
	return WV_OK;
}
