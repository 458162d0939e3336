/* The stand-in's builder: a plan is the model itself behind a head that says what it was built with. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stand-in.h"

#define MOST_RANGES 64
#define CACHE "STAND-IN TIMING "

struct wv_build {
	int32_t version[4];
	struct session session;
	void *onnx;
	uint64_t onnx_size;
	struct range ranges[MOST_RANGES];
	int32_t range_count, profiles;
	int32_t refit, ran;
	int32_t timed; /* builds that the timing cache has seen */
	pthread_mutex_t mutex;
	wv_progress progress;
	int cancelled;
	void *result[2];
	uint64_t size[2];
};

static void at(wv_build *build, const char *phase, int32_t step, int32_t steps) {
	pthread_mutex_lock(&build->mutex);
	snprintf(build->progress.phase, WV_NAME, "%s", phase);
	build->progress.step = step;
	build->progress.steps = steps;
	pthread_mutex_unlock(&build->mutex);
}

int32_t wv_build_open(wv_runtime *runtime, wv_build **out, char *why) {
	if (!runtime || !out) return refuse(WV_ARGUMENT, why, "no runtime, or no place for the build");
	wv_build *build = calloc(1, sizeof *build);
	if (!build) return refuse(WV_MEMORY, why, "no memory left in this process");
	memcpy(build->version, runtime->version, sizeof build->version);
	pthread_mutex_init(&build->mutex, NULL);
	*out = build;
	return WV_OK;
}

void wv_build_close(wv_build *build) {
	if (!build) return;
	session_close(&build->session);
	free(build->onnx);
	free(build->result[0]);
	free(build->result[1]);
	pthread_mutex_destroy(&build->mutex);
	free(build);
}

struct parse {
	wv_build *build;
	char *why;
};

static int32_t parse(void *with) {
	struct parse *p = with;
	wv_build *b = p->build;
	at(b, "parse", 0, 0);
	return session_open(&b->session, b->onnx, b->onnx_size, NULL, NULL, 0, p->why);
}

int32_t wv_build_parse(wv_build *build, const void *onnx, uint64_t size, const char *path, char *why) {
	(void)path;
	if (!build || !onnx || build->onnx) return refuse(WV_ARGUMENT, why, "no build, no model, or a model already");
	build->onnx = malloc(size ? size : 1);
	if (!build->onnx) return refuse(WV_MEMORY, why, "no memory left in this process");
	memcpy(build->onnx, onnx, size);
	build->onnx_size = size;
	struct parse p = {build, why};
	return aside(parse, &p);
}

int32_t wv_build_tensor(wv_build *build, int32_t index, wv_tensor *out) {
	if (!build || !out || !build->session.ort || index < 0 || index >= build->session.count) return WV_ARGUMENT;
	*out = build->session.tensors[index];
	return WV_OK;
}

int32_t wv_build_set(wv_build *build, int32_t option, int64_t value, char *why) {
	if (!build || build->ran) return refuse(WV_ARGUMENT, why, "no build, or it has run");
	switch (option) {
		case WV_OPTION_FP16:
		case WV_OPTION_BF16: return WV_OK; /* allowed, never forced: the stand-in stays at full precision */
		case WV_OPTION_REFIT: build->refit = value != 0; return WV_OK;
		case WV_OPTION_WORKSPACE:
			return value > 0 ? WV_OK : refuse(WV_ARGUMENT, why, "a workspace needs bytes");
		case WV_OPTION_LEVEL:
			return value >= 0 && value <= 5 ? WV_OK : refuse(WV_ARGUMENT, why, "the level is 0 to 5");
		default: return refuse(WV_ARGUMENT, why, "no such option");
	}
}

static const wv_tensor *input_named(const wv_build *build, const char *name) {
	for (int32_t i = 0; i < build->session.count; i++)
		if (build->session.tensors[i].input && strcmp(build->session.tensors[i].name, name) == 0)
			return &build->session.tensors[i];
	return NULL;
}

int32_t wv_build_range(wv_build *build, int32_t profile, const char *input, int32_t rank, const int64_t *min,
	const int64_t *opt, const int64_t *max, char *why) {
	if (!build || !input || !min || !opt || !max || !build->session.ort || build->ran)
		return refuse(WV_ARGUMENT, why, "no parsed model, or no range");
	if (rank < 0 || rank > WV_DIMS || profile < 0 || profile > build->profiles || build->range_count == MOST_RANGES)
		return refuse(WV_ARGUMENT, why, "a rank of 0 to 8; profiles are begun in order");
	const wv_tensor *t = input_named(build, input);
	int fits = t && t->rank == rank;
	for (int32_t i = 0; fits && i < rank; i++) {
		fits = min[i] >= 0 && min[i] <= opt[i] && opt[i] <= max[i];
		fits = fits && (t->dims[i] < 0 || (min[i] == t->dims[i] && max[i] == t->dims[i]));
	}
	if (!fits) {
		char text[WV_WHY];
		snprintf(text, sizeof text, "input \"%.200s\" refuses these bounds", input);
		return refuse(WV_MODEL, why, text);
	}
	struct range *r = &build->ranges[build->range_count++];
	r->profile = profile;
	r->rank = rank;
	snprintf(r->name, WV_NAME, "%s", input);
	memcpy(r->min, min, (size_t)rank * 8);
	memcpy(r->opt, opt, (size_t)rank * 8);
	memcpy(r->max, max, (size_t)rank * 8);
	if (profile == build->profiles) build->profiles++;
	return WV_OK;
}

int32_t wv_build_cache(wv_build *build, const void *data, uint64_t size, char *why) {
	if (!build || (size && !data) || build->ran) return refuse(WV_ARGUMENT, why, "no build, or it has run");
	char text[64] = "";
	if (size < sizeof text) memcpy(text, data, size);
	if (sscanf(text, CACHE "%d", &build->timed) != 1) {
		build->timed = 0;
		if (size) say(WV_WARNING, "the timing cache does not fit and is ignored");
	}
	return WV_OK;
}

/* Every profile bounds every input that has a free dimension. */
static int covered(const wv_build *b) {
	for (int32_t i = 0; i < b->session.count; i++) {
		const wv_tensor *t = &b->session.tensors[i];
		int is_free = 0;
		for (int32_t d = 0; d < t->rank; d++) is_free |= t->dims[d] < 0;
		if (!t->input || !is_free) continue;
		if (!b->profiles) return 0;
		for (int32_t p = 0; p < b->profiles; p++) {
			int found = 0;
			for (int32_t r = 0; r < b->range_count; r++)
				found |= b->ranges[r].profile == p && strcmp(b->ranges[r].name, t->name) == 0;
			if (!found) return 0;
		}
	}
	return 1;
}

static int32_t tell_lies(wv_build *b, char *why) {
	lie_crash("crash-build");
	if (lies("killed-build")) raise(SIGKILL);
	if (lies("memory-build")) return take_all_memory(why);
	for (int32_t step = 0; lies("endless-build"); usleep(10000)) at(b, "build", step++, 0);
	for (int32_t step = 0; lies("slow-build") && step < STEPS_SLOW; usleep(10000)) {
		if (b->cancelled) return refuse(WV_CANCELLED, why, "the build was cancelled");
		at(b, "build", ++step, STEPS_SLOW);
	}
	return WV_OK;
}

int32_t wv_build_run(wv_build *build, char *why) {
	if (!build || !build->session.ort || build->ran) return refuse(WV_ARGUMENT, why, "no parsed model, or it has run");
	wv_build *b = build;
	b->ran = 1;
	if (!covered(b)) return refuse(WV_MODEL, why, "a free dimension has no bounds in a profile");
	at(b, "build", 0, 1);
	int32_t status = tell_lies(b, why);
	if (status != WV_OK) return status;
	struct head head = {.refit = b->refit, .ranges = b->range_count, .onnx = b->onnx_size};
	memcpy(head.magic, MAGIC, sizeof head.magic);
	memcpy(head.version, b->version, sizeof head.version);
	uint64_t ranges = (uint64_t)b->range_count * sizeof(struct range);
	uint64_t size = sizeof head + ranges + b->onnx_size;
	uint8_t *plan = malloc(size), *cache = calloc(1, 64);
	b->result[WV_PLAN] = plan;
	b->result[WV_TIMING_CACHE] = cache;
	if (!plan || !cache) return refuse(WV_MEMORY, why, "no memory left in this process");
	memcpy(plan, &head, sizeof head);
	memcpy(plan + sizeof head, b->ranges, ranges);
	memcpy(plan + sizeof head + ranges, b->onnx, b->onnx_size);
	uint64_t from = offsetof(struct head, version);
	head.sum = sum_of(plan + from, size - from);
	memcpy(plan + offsetof(struct head, sum), &head.sum, sizeof head.sum);
	if (lies("corrupt")) plan[size / 2] ^= 1;
	b->size[WV_PLAN] = size;
	b->size[WV_TIMING_CACHE] = (uint64_t)snprintf((char *)cache, 64, CACHE "%d", b->timed + 1);
	say(WV_INFO, "built an engine that is the model itself");
	at(b, "build", 1, 1);
	return WV_OK;
}

int32_t wv_build_progress(wv_build *build, wv_progress *out) {
	if (!build || !out) return WV_ARGUMENT;
	pthread_mutex_lock(&build->mutex);
	*out = build->progress;
	pthread_mutex_unlock(&build->mutex);
	return WV_OK;
}

void wv_build_cancel(wv_build *build) {
	if (build) __atomic_store_n(&build->cancelled, 1, __ATOMIC_SEQ_CST);
}

int32_t wv_build_size(wv_build *build, int32_t result, uint64_t *out) {
	if (!build || !out || result < 0 || result > 1 || !build->size[WV_PLAN]) return WV_ARGUMENT;
	*out = build->size[result];
	return WV_OK;
}

int32_t wv_build_read(wv_build *build, int32_t result, void *into, uint64_t size) {
	uint64_t has = 0;
	if (wv_build_size(build, result, &has) != WV_OK || has != size || (size && !into)) return WV_ARGUMENT;
	memcpy(into, build->result[result], size);
	return WV_OK;
}
