/* The stand-in's engines: refitted, and serialised with the weights that they have then. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

void free_weights(struct weight *weights, int32_t count) {
	for (int32_t i = 0; i < count; i++) {
		if (weights[i].value) ort_release_value(weights[i].value);
		free(weights[i].data);
	}
	free(weights);
}

int32_t wv_engine_weight(wv_engine *engine, int32_t index, char *name) {
	if (!engine || !name || index < 0 || index >= engine->state->weight_count) return WV_ARGUMENT;
	memcpy(name, engine->state->weights[index].name, WV_NAME);
	return WV_OK;
}

static int32_t set_aside(struct state *s, const char *name, int32_t dtype, const void *data, uint64_t count,
	char *why) {
	if (!bytes_of(dtype) || dtype == WV_BOOL || dtype == WV_UINT8)
		return refuse(WV_REFIT, why, "weights of this type cannot be refitted");
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

int32_t wv_engine_weight_set(wv_engine *engine, const char *name, int32_t dtype, const void *data, uint64_t count,
	char *why) {
	if (!engine || !name || (!data && count) || strlen(name) >= WV_NAME)
		return refuse(WV_ARGUMENT, why, "no engine, or no weight");
	return set_aside(engine->state, name, dtype, data, count, why);
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

/* ONNX Runtime cannot change a session's weights: a new session takes the place of the old one. Weights of
 * earlier refits that these do not replace stay. */
static int32_t put_pending(struct state *s, int drop, char *why) {
	int32_t status = WV_OK, count = 0;
	for (int32_t i = 0; i < s->pending_count && status == WV_OK; i++)
		status = check_weight(s, &s->pending[i], why);
	if (status != WV_OK) return status;
	int32_t fresh = s->pending_count - (drop && s->pending_count > 0);
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
		session_open(&s->session, s->onnx, s->head.onnx, names, values, count, why) :
		refuse(WV_MEMORY, why, "no memory left in this process");
	free(names);
	free(values);
	return status;
}

static void forget_pending(struct state *s) {
	free_weights(s->pending, s->pending_count);
	s->pending = NULL;
	s->pending_count = 0;
}

struct call {
	wv_engine *engine;
	char *why;
};

static int32_t refit(void *with) {
	struct call *call = with;
	struct state *s = call->engine->state;
	lie_crash("crash-refit");
	while (lies("endless-refit")) usleep(10000);
	if (lies("memory-refit")) return take_all_memory(call->why);
	if (!s->head.refit) return refuse(WV_REFIT, call->why, "the engine was not built to be refitted");
	return put_pending(s, lies("refit-drops"), call->why);
}

static int is_running(struct state *s) {
	pthread_mutex_lock(&s->mutex);
	int running = s->phase == RUNNING;
	pthread_mutex_unlock(&s->mutex);
	return running;
}

int32_t wv_engine_refit(wv_engine *engine, char *why) {
	if (!engine) return refuse(WV_ARGUMENT, why, "no engine");
	if (is_running(engine->state)) return refuse(WV_BUSY, why, "a run is under way");
	struct call call = {engine, why};
	int32_t status = aside(refit, &call);
	forget_pending(engine->state);
	return status;
}

/* What stands before each weight's data behind the model of a plan. */
struct put_head {
	char name[WV_NAME];
	int32_t dtype, reserved;
	uint64_t count;
};

int32_t put_again(struct state *s, char *why) {
	const uint8_t *at = s->putting, *end = s->plan + s->size;
	int32_t status = WV_OK;
	for (int32_t i = 0; i < s->head.puts && status == WV_OK; i++) {
		struct put_head head;
		if ((uint64_t)(end - at) < sizeof head) return refuse(WV_ENGINE, why, "the engine lacks its weights");
		memcpy(&head, at, sizeof head);
		at += sizeof head;
		uint64_t bytes = head.count * bytes_of(head.dtype);
		if ((uint64_t)(end - at) < bytes) return refuse(WV_ENGINE, why, "the engine lacks its weights");
		status = set_aside(s, head.name, head.dtype, at, head.count, why);
		at += bytes;
	}
	if (status == WV_OK && s->head.puts > 0) status = put_pending(s, 0, why);
	forget_pending(s);
	return status;
}

static int32_t serialize(void *with) {
	struct call *call = with;
	struct state *s = call->engine->state;
	lie_crash("crash-serialize");
	int32_t puts = lies("serialize-drops") ? 0 : s->put_count;
	uint64_t plain = (uint64_t)(s->putting - s->plan), size = plain;
	for (int32_t i = 0; i < puts; i++) size += sizeof(struct put_head) + s->put[i].count * bytes_of(s->put[i].dtype);
	free(s->serialized);
	s->serialized_size = 0;
	uint8_t *at = s->serialized = malloc(size);
	if (!at) return refuse(WV_MEMORY, call->why, "no memory left in this process");
	memcpy(at, s->plan, plain);
	at += plain;
	for (int32_t i = 0; i < puts; i++) {
		const struct weight *w = &s->put[i];
		struct put_head head = {.dtype = w->dtype, .count = w->count};
		memcpy(head.name, w->name, WV_NAME);
		memcpy(at, &head, sizeof head);
		memcpy(at + sizeof head, w->data, w->count * bytes_of(w->dtype));
		at += sizeof head + w->count * bytes_of(w->dtype);
	}
	struct head head = s->head;
	uint64_t from = offsetof(struct head, version);
	head.puts = puts;
	memcpy(s->serialized, &head, sizeof head);
	head.sum = sum_of(s->serialized + from, size - from);
	memcpy(s->serialized, &head, sizeof head);
	if (lies("corrupt")) s->serialized[size / 2] ^= 1;
	s->serialized_size = size;
	return WV_OK;
}

int32_t wv_engine_serialize(wv_engine *engine, uint64_t *size, char *why) {
	if (!engine || !size) return refuse(WV_ARGUMENT, why, "no engine, or no place for the size");
	if (is_running(engine->state)) return refuse(WV_BUSY, why, "a run is under way");
	struct call call = {engine, why};
	int32_t status = aside(serialize, &call);
	if (status == WV_OK) *size = engine->state->serialized_size;
	return status;
}

int32_t wv_engine_take(wv_engine *engine, void *into, uint64_t size) {
	if (!engine || !into || !engine->state->serialized || engine->state->serialized_size != size) return WV_ARGUMENT;
	memcpy(into, engine->state->serialized, size);
	free(engine->state->serialized);
	engine->state->serialized = NULL;
	return WV_OK;
}
