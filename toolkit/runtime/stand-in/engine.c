/* The stand-in's engines: opened and described. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

void clear_slots(struct state *state) {
	for (int32_t i = 0; i < state->session.count; i++) {
		free(state->slots[i].data);
		if (state->slots[i].value) ort_release_value(state->slots[i].value);
	}
	memset(state->slots, 0, sizeof state->slots);
}

static int32_t destroy(void *with) {
	struct state *s = with;
	clear_slots(s);
	session_close(&s->session); /* before the weights that it reads */
	free_weights(s->put, s->put_count);
	free_weights(s->pending, s->pending_count);
	free(s->weights);
	free(s->serialized);
	free(s->plan);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
	free(s);
	return WV_OK;
}

void destroy_aside(struct state *state) { aside(destroy, state); }

void let_go(struct state *state) {
	pthread_mutex_lock(&state->mutex);
	int last = --state->holders == 0;
	pthread_mutex_unlock(&state->mutex);
	if (last) destroy_aside(state);
}

/* The head, the ranges and the model inside a plan; WV_ENGINE for what is none of this library's. */
static int32_t read_plan(struct state *s, const int32_t *version, char *why) {
	uint64_t from = offsetof(struct head, version);
	if (s->size < sizeof s->head) return refuse(WV_ENGINE, why, "the engine is too short to be one");
	memcpy(&s->head, s->plan, sizeof s->head);
	if (memcmp(s->head.magic, MAGIC, sizeof s->head.magic) != 0)
		return refuse(WV_ENGINE, why, "this is no engine");
	if (s->head.sum != sum_of(s->plan + from, s->size - from))
		return refuse(WV_ENGINE, why, "the engine is damaged: its checksum differs");
	if (memcmp(s->head.version, version, sizeof s->head.version) != 0) {
		char text[WV_WHY];
		snprintf(text, sizeof text, "the engine was built by version %d.%d.%d.%d, this is %d.%d.%d.%d",
			s->head.version[0], s->head.version[1], s->head.version[2], s->head.version[3], version[0], version[1],
			version[2], version[3]);
		return refuse(WV_ENGINE, why, text);
	}
	s->ranges = (const struct range *)(s->plan + sizeof s->head);
	s->onnx = s->plan + sizeof s->head + (uint64_t)s->head.ranges * sizeof(struct range);
	s->putting = s->onnx + s->head.onnx;
	return WV_OK;
}

struct opening {
	struct state *state;
	const int32_t *version;
	char *why;
};

static int32_t open_engine(void *with) {
	struct opening *o = with;
	struct state *s = o->state;
	lie_crash("crash-load");
	int32_t status = read_plan(s, o->version, o->why);
	if (status == WV_OK) status = session_open(&s->session, s->onnx, s->head.onnx, NULL, NULL, 0, o->why);
	if (status != WV_OK || !s->head.refit) return status;
	int32_t count = initialisers_of(s->onnx, s->head.onnx, NULL, 0);
	s->weights = calloc((size_t)count + 1, sizeof *s->weights);
	if (!s->weights) return refuse(WV_MEMORY, o->why, "no memory left in this process");
	s->weight_count = initialisers_of(s->onnx, s->head.onnx, s->weights, count);
	return put_again(s, o->why);
}

int32_t wv_engine_open(wv_runtime *runtime, const void *plan, uint64_t size, wv_engine **out, char *why) {
	if (!runtime || !plan || !out) return refuse(WV_ARGUMENT, why, "no runtime, no plan, or no place for the engine");
	struct state *s = calloc(1, sizeof *s);
	wv_engine *handle = calloc(1, sizeof *handle);
	if (s) s->plan = malloc(size ? size : 1);
	if (!s || !handle || !s->plan) {
		if (s) free(s->plan);
		free(s);
		free(handle);
		return refuse(WV_MEMORY, why, "no memory left in this process");
	}
	memcpy(s->plan, plan, size);
	s->size = size;
	s->holders = 1;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	struct opening opening = {s, runtime->version, why};
	int32_t status = aside(open_engine, &opening);
	if (status != WV_OK) {
		let_go(s);
		free(handle);
		return status;
	}
	handle->state = s;
	*out = handle;
	return WV_OK;
}

void wv_engine_close(wv_engine *engine) {
	if (!engine) return;
	pthread_mutex_lock(&engine->state->mutex);
	engine->state->closing = 1;
	pthread_mutex_unlock(&engine->state->mutex);
	let_go(engine->state);
	free(engine);
}

int32_t wv_engine_tensor(wv_engine *engine, int32_t index, wv_tensor *out) {
	if (!engine || !out || index < 0 || index >= engine->state->session.count) return WV_ARGUMENT;
	*out = engine->state->session.tensors[index];
	memset(out->dim_names, 0, sizeof out->dim_names); /* as of TensorRT: a plan does not keep them */
	return WV_OK;
}

/* Bounds of an input that a profile does not mention are its own fixed shape. */
int32_t wv_engine_range(wv_engine *engine, int32_t index, int32_t profile, int64_t *min, int64_t *opt, int64_t *max) {
	wv_tensor t;
	if (!min || !opt || !max || wv_engine_tensor(engine, index, &t) != WV_OK || !t.input || profile < 0)
		return WV_ARGUMENT;
	const struct state *s = engine->state;
	int32_t profiles = 1;
	for (int32_t i = 0; i < s->head.ranges; i++)
		if (s->ranges[i].profile >= profiles) profiles = s->ranges[i].profile + 1;
	if (profile >= profiles) return WV_ARGUMENT;
	const int64_t *from[3] = {t.dims, t.dims, t.dims};
	for (int32_t i = 0; i < s->head.ranges; i++)
		if (s->ranges[i].profile == profile && strcmp(s->ranges[i].name, t.name) == 0) {
			from[0] = s->ranges[i].min;
			from[1] = s->ranges[i].opt;
			from[2] = s->ranges[i].max;
		}
	memcpy(min, from[0], (size_t)t.rank * 8);
	memcpy(opt, from[1], (size_t)t.rank * 8);
	memcpy(max, from[2], (size_t)t.rank * 8);
	return WV_OK;
}
