/* The stand-in's runs, each on a thread of its own. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

/* Whether some profile holds all inputs' shapes. */
static int fits(struct state *s) {
	wv_engine engine = {s};
	int64_t min[WV_DIMS], opt[WV_DIMS], max[WV_DIMS];
	for (int32_t p = 0;; p++) {
		int all = 1, any = 0;
		for (int32_t i = 0; i < s->session.count; i++) {
			if (!s->session.tensors[i].input) continue;
			if (wv_engine_range(&engine, i, p, min, opt, max) != WV_OK) return 0;
			any = 1;
			for (int32_t d = 0; d < s->slots[i].rank; d++)
				all &= s->slots[i].dims[d] >= min[d] && s->slots[i].dims[d] <= max[d];
		}
		if (all || !any) return all;
	}
}

static void distort(float *data, uint64_t count) {
	int nan = lies("nan"), wrong = lies("wrong");
	for (uint64_t i = 0; (nan || wrong) && i < count; i++) data[i] = nan ? NAN : data[i] * 1.5f;
}

/* Shape and size of a result. */
static int32_t measure(struct state *s, int32_t index, char *why) {
	struct slot *slot = &s->slots[index];
	OrtTensorInfo *info = NULL;
	size_t rank = 0;
	void *data = NULL;
	int32_t status = told(ort_value_info(slot->value, &info), WV_INTERNAL, why);
	if (status != WV_OK) return status;
	status = told(ort_rank(info, &rank), WV_INTERNAL, why);
	if (status == WV_OK && rank <= WV_DIMS) status = told(ort_dims(info, slot->dims, rank), WV_INTERNAL, why);
	ort_release_info(info);
	if (status == WV_OK) status = told(ort_data(slot->value, &data), WV_INTERNAL, why);
	if (status != WV_OK) return status;
	slot->rank = (int32_t)rank;
	uint64_t count = 1;
	for (size_t i = 0; i < rank; i++) count *= (uint64_t)slot->dims[i];
	slot->bytes = count * bytes_of(s->session.tensors[index].dtype);
	if (s->session.tensors[index].dtype == WV_FLOAT32) distort(data, count);
	return WV_OK;
}

int32_t run_once(struct state *s, char *why) {
	const char *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
	OrtValue *values[MOST_TENSORS] = {NULL}, *results[MOST_TENSORS] = {NULL};
	int32_t given = 0, wanted = 0, status = WV_OK;
	lie_crash("crash-run");
	while (lies("endless-run")) usleep(10000);
	if (lies("memory-device")) return refuse(WV_MEMORY, why, "taking memory for a tensor: out of memory");
	if (!fits(s)) return refuse(WV_SHAPE, why, "no profile of the engine has these shapes");
	for (int32_t i = 0; i < s->session.count && status == WV_OK; i++) {
		const wv_tensor *t = &s->session.tensors[i];
		const struct slot *slot = &s->slots[i];
		if (!t->input) outputs[wanted++] = t->name;
		else {
			inputs[given] = t->name;
			status = value_of(slot->data, slot->bytes, slot->dims, slot->rank, t->dtype, &values[given++], why);
		}
	}
	if (status == WV_OK)
		status = told(ort_run(s->session.ort, NULL, inputs, (const OrtValue *const *)values, (size_t)given, outputs,
			(size_t)wanted, results), WV_DEVICE, why);
	for (int32_t i = 0, k = 0; i < s->session.count && status == WV_OK; i++)
		if (!s->session.tensors[i].input) {
			s->slots[i].value = results[k];
			results[k++] = NULL;
			status = measure(s, i, why);
		}
	for (int32_t i = 0; i < MOST_TENSORS; i++) {
		if (values[i]) ort_release_value(values[i]);
		if (results[i]) ort_release_value(results[i]);
	}
	return status;
}

static void *serve(void *with) {
	struct state *s = with;
	char why[WV_WHY] = "";
	int32_t status = run_once(s, why);
	pthread_mutex_lock(&s->mutex);
	s->status = status;
	memcpy(s->why, why, sizeof why);
	s->phase = s->abandoned ? FREE : DONE;
	s->abandoned = 0;
	/* Let go before anybody can see the end: who waits for it may end the process, and a session that
	   is freed while the library's own destructors run is a crash. */
	int last = --s->holders == 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	if (last) destroy_aside(s);
	return NULL;
}

int32_t wv_run_open(wv_engine *engine, wv_run **out, char *why) {
	if (!engine || !out) return refuse(WV_ARGUMENT, why, "no engine, or no place for the run");
	struct state *s = engine->state;
	pthread_mutex_lock(&s->mutex);
	int free_now = s->phase == FREE;
	wv_run *run = free_now ? calloc(1, sizeof *run) : NULL;
	if (run) {
		s->phase = FEEDING;
		s->holders++;
		run->state = s;
	}
	pthread_mutex_unlock(&s->mutex);
	if (!free_now) return refuse(WV_BUSY, why, "the engine has a run already");
	if (!run) return refuse(WV_MEMORY, why, "no memory left in this process");
	clear_slots(s);
	*out = run;
	return WV_OK;
}

void wv_run_close(wv_run *run) {
	if (!run) return;
	struct state *s = run->state;
	pthread_mutex_lock(&s->mutex);
	if (s->phase == RUNNING) s->abandoned = 1;
	else s->phase = FREE;
	pthread_mutex_unlock(&s->mutex);
	let_go(s);
	free(run);
}

int32_t wv_run_feed(wv_run *run, int32_t index, int32_t rank, const int64_t *dims, const void *data, uint64_t bytes,
	char *why) {
	if (!run || (rank && !dims) || (bytes && !data)) return refuse(WV_ARGUMENT, why, "no run, or no data");
	struct state *s = run->state;
	if (s->phase != FEEDING) return refuse(WV_ARGUMENT, why, "the run has started");
	if (index < 0 || index >= s->session.count) return refuse(WV_ARGUMENT, why, "no such tensor");
	const wv_tensor *t = &s->session.tensors[index];
	if (!t->input) return refuse(WV_ARGUMENT, why, "an output cannot be fed");
	if (rank != t->rank) return refuse(WV_ARGUMENT, why, "the input has another rank");
	uint64_t needs = bytes_of(t->dtype);
	for (int32_t i = 0; i < rank; i++) {
		if (dims[i] < 0 || dims[i] > INT32_MAX) return refuse(WV_ARGUMENT, why, "a dimension out of range");
		needs *= (uint64_t)dims[i];
	}
	if (needs != bytes) return refuse(WV_ARGUMENT, why, "the data has another size than its shape");
	struct slot *slot = &s->slots[index];
	void *copy = malloc(bytes + 1);
	if (!copy) return refuse(WV_MEMORY, why, "no memory left in this process");
	if (bytes) memcpy(copy, data, bytes);
	free(slot->data);
	slot->data = copy;
	slot->bytes = bytes;
	slot->rank = rank;
	slot->fed = 1;
	if (rank) memcpy(slot->dims, dims, (size_t)rank * 8);
	return WV_OK;
}

int32_t wv_run_start(wv_run *run, char *why) {
	if (!run) return refuse(WV_ARGUMENT, why, "no run");
	struct state *s = run->state;
	for (int32_t i = 0; i < s->session.count; i++)
		if (s->session.tensors[i].input && !s->slots[i].fed) {
			char text[WV_WHY];
			snprintf(text, sizeof text, "input \"%.200s\" is missing", s->session.tensors[i].name);
			return refuse(WV_ARGUMENT, why, text);
		}
	pthread_mutex_lock(&s->mutex);
	int ready = s->phase == FEEDING && !s->closing;
	pthread_t thread;
	if (ready && pthread_create(&thread, NULL, serve, s) == 0) {
		pthread_detach(thread);
		s->phase = RUNNING;
		s->holders++;
	}
	int started = s->phase == RUNNING;
	pthread_mutex_unlock(&s->mutex);
	if (!ready) return refuse(WV_ARGUMENT, why, "the run has started, or the engine is closed");
	return started ? WV_OK : refuse(WV_MEMORY, why, "no thread can be made");
}

int32_t wv_run_wait(wv_run *run, int32_t milliseconds, char *why) {
	if (!run) return WV_ARGUMENT;
	struct state *s = run->state;
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (milliseconds % 1000) * 1000000L;
	until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&s->mutex);
	int late = 0;
	while (s->phase == RUNNING && !late) late = pthread_cond_timedwait(&s->changed, &s->mutex, &until) != 0;
	int32_t status = s->phase == DONE ? s->status : s->phase == RUNNING ? WV_PENDING : WV_ARGUMENT;
	if (why && s->phase == DONE) memcpy(why, s->why, WV_WHY);
	pthread_mutex_unlock(&s->mutex);
	return status;
}

int32_t wv_run_shape(wv_run *run, int32_t index, int32_t *rank, int64_t *dims, uint64_t *bytes) {
	if (!run || !rank || !dims || !bytes) return WV_ARGUMENT;
	struct state *s = run->state;
	pthread_mutex_lock(&s->mutex);
	int done = s->phase == DONE && s->status == WV_OK;
	pthread_mutex_unlock(&s->mutex);
	if (!done || index < 0 || index >= s->session.count) return WV_ARGUMENT;
	*rank = s->slots[index].rank;
	*bytes = s->slots[index].bytes;
	memcpy(dims, s->slots[index].dims, (size_t)*rank * 8);
	return WV_OK;
}

int32_t wv_run_read(wv_run *run, int32_t index, void *into, uint64_t bytes) {
	int32_t rank;
	int64_t dims[WV_DIMS];
	uint64_t has = 0;
	if (wv_run_shape(run, index, &rank, dims, &has) != WV_OK || has != bytes || (bytes && !into)) return WV_ARGUMENT;
	struct slot *slot = &run->state->slots[index];
	void *data = slot->data;
	if (slot->value && told(ort_data(slot->value, &data), WV_INTERNAL, NULL) != WV_OK) return WV_INTERNAL;
	if (bytes) memcpy(into, data, bytes);
	return WV_OK;
}
