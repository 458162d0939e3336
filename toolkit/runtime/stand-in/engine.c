/* The stand-in's engines: opened, described, refitted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static void free_weights(struct weight *weights, int32_t count) {
	for (int32_t i = 0; i < count; i++) {
		if (weights[i].value) ort_release_value(weights[i].value);
		free(weights[i].data);
	}
	free(weights);
}

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
	return WV_OK;
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

int32_t wv_engine_weight(wv_engine *engine, int32_t index, char *name) {
	if (!engine || !name || index < 0 || index >= engine->state->weight_count) return WV_ARGUMENT;
	memcpy(name, engine->state->weights[index].name, WV_NAME);
	return WV_OK;
}

int32_t wv_engine_weight_set(wv_engine *engine, const char *name, int32_t dtype, const void *data, uint64_t count,
	char *why) {
	if (!engine || !name || (!data && count) || strlen(name) >= WV_NAME)
		return refuse(WV_ARGUMENT, why, "no engine, or no weight");
	if (!bytes_of(dtype) || dtype == WV_BOOL || dtype == WV_UINT8)
		return refuse(WV_REFIT, why, "weights of this type cannot be refitted");
	struct state *s = engine->state;
	struct weight *more = realloc(s->pending, ((size_t)s->pending_count + 1) * sizeof *more);
	if (!more) return refuse(WV_MEMORY, why, "no memory left in this process");
	s->pending = more;
	struct weight *w = &more[s->pending_count];
	memset(w, 0, sizeof *w);
	snprintf(w->name, WV_NAME, "%s", name);
	w->dtype = dtype;
	w->count = count;
	w->data = malloc(count * bytes_of(dtype) + 1);
	if (!w->data) return refuse(WV_MEMORY, why, "no memory left in this process");
	memcpy(w->data, data, count * bytes_of(dtype));
	s->pending_count++;
	return WV_OK;
}

static int32_t check_weight(const struct state *s, struct weight *w, char *why) {
	char text[WV_WHY];
	for (int32_t i = 0; i < s->weight_count; i++) {
		const struct initialiser *has = &s->weights[i];
		if (strcmp(has->name, w->name) != 0) continue;
		if (has->count != w->count || has->dtype != w->dtype) {
			snprintf(text, sizeof text, "\"%.200s\" has %llu elements, or another type", w->name,
				(unsigned long long)has->count);
			return refuse(WV_REFIT, why, text);
		}
		return value_of(w->data, w->count * bytes_of(w->dtype), has->dims, has->rank, w->dtype, &w->value, why);
	}
	snprintf(text, sizeof text, "the engine has no weight \"%.200s\" that can be refitted", w->name);
	return refuse(WV_REFIT, why, text);
}

struct refit {
	struct state *state;
	char *why;
};

/* ONNX Runtime cannot change a session's weights: a new session takes the place of the old one. Weights of
 * earlier refits that these do not replace stay. */
static int32_t refit(void *with) {
	struct refit *r = with;
	struct state *s = r->state;
	lie_crash("crash-refit");
	if (!s->head.refit) return refuse(WV_REFIT, r->why, "the engine was not built to be refitted");
	int32_t status = WV_OK, count = 0;
	for (int32_t i = 0; i < s->pending_count && status == WV_OK; i++)
		status = check_weight(s, &s->pending[i], r->why);
	if (status != WV_OK) return status;
	int32_t fresh = s->pending_count;
	if (lies("refit-drops") && fresh > 0) fresh--;
	size_t most = (size_t)(s->put_count + fresh + 1);
	struct weight *all = calloc(most, sizeof *all);
	const char **names = calloc(most, sizeof *names);
	OrtValue **values = calloc(most, sizeof *values);
	for (int32_t i = 0; all && i < s->put_count; i++) {
		int replaced = 0;
		for (int32_t k = 0; k < fresh; k++) replaced |= strcmp(s->pending[k].name, s->put[i].name) == 0;
		if (replaced) continue;
		all[count++] = s->put[i];
		memset(&s->put[i], 0, sizeof s->put[i]);
	}
	for (int32_t i = 0; all && i < fresh; i++) {
		all[count++] = s->pending[i];
		memset(&s->pending[i], 0, sizeof s->pending[i]);
	}
	for (int32_t i = 0; all && names && values && i < count; i++) {
		names[i] = all[i].name;
		values[i] = all[i].value;
	}
	session_close(&s->session);
	free_weights(s->put, s->put_count);
	s->put = all;
	s->put_count = all ? count : 0;
	status = all && names && values ?
		session_open(&s->session, s->onnx, s->head.onnx, names, values, count, r->why) :
		refuse(WV_MEMORY, r->why, "no memory left in this process");
	free(names);
	free(values);
	return status;
}

int32_t wv_engine_refit(wv_engine *engine, char *why) {
	if (!engine) return refuse(WV_ARGUMENT, why, "no engine");
	struct state *s = engine->state;
	pthread_mutex_lock(&s->mutex);
	int busy = s->phase == RUNNING;
	pthread_mutex_unlock(&s->mutex);
	if (busy) return refuse(WV_BUSY, why, "a run is under way");
	struct refit r = {s, why};
	int32_t status = aside(refit, &r);
	free_weights(s->pending, s->pending_count);
	s->pending = NULL;
	s->pending_count = 0;
	return status;
}
