/* ONNX models: sessions of ONNX Runtime, what they take and give, and a model's initialisers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stand-in.h"

#ifndef ORT_LIBRARY
#error "compile with -DORT_LIBRARY=\"path of libonnxruntime.so.1\""
#endif

static void *const *table;
static OrtEnv *env;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
	struct base {
		const void *(*api)(uint32_t version);
		const char *(*version)(void);
	};
	setenv("ORT_DISABLE_TELEMETRY", "1", 0);
	void *library = dlopen(ORT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const struct base *(*get)(void) = NULL;
	if (library) *(void **)&get = dlsym(library, "OrtGetApiBase");
	if (!get) return;
	table = get()->api(8);
	if (table && ort_create_env(4, "stand-in", &env)) env = NULL;
}

void *const *ort_table(void) { return table; }

OrtEnv *ort_env(void) {
	pthread_once(&once, load);
	return env;
}

static const struct {
	int32_t wv;
	int ort;
	uint64_t bytes;
} types[] = {{WV_FLOAT32, 1, 4}, {WV_FLOAT16, 10, 2}, {WV_INT8, 3, 1}, {WV_INT32, 6, 4},
	{WV_BOOL, 9, 1}, {WV_UINT8, 2, 1}, {WV_INT64, 7, 8}};
#define TYPES (sizeof types / sizeof *types)

int ort_type(int32_t dtype) {
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].wv == dtype) return types[i].ort;
	return 0;
}

static int32_t wv_type(int type) {
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].ort == type) return types[i].wv;
	return -1;
}

uint64_t bytes_of(int32_t dtype) {
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].wv == dtype) return types[i].bytes;
	return 0;
}

int32_t told(OrtStatus *status, int32_t otherwise, char *why) {
	if (!status) return WV_OK;
	const char *text = ort_error_text(status);
	int32_t ours = otherwise;
	/* ORT_NOT_IMPLEMENTED, or an operator that no registry has */
	if (ort_error_code(status) == 9 || strstr(text, "No Op registered") || strstr(text, "not a registered function"))
		ours = WV_UNSUPPORTED;
	if (strstr(text, "bad_alloc") || strstr(text, "ailed to allocate")) ours = WV_MEMORY;
	refuse(ours, why, text);
	ort_release_status(status);
	return ours;
}

int32_t value_of(void *data, uint64_t bytes, const int64_t *dims, int32_t rank, int32_t dtype, OrtValue **out,
	char *why) {
	OrtMemoryInfo *memory = NULL;
	int32_t status = told(ort_cpu_memory(1, 0, &memory), WV_INTERNAL, why);
	if (status != WV_OK) return status;
	status = told(ort_tensor_of_data(memory, data, bytes, dims, (size_t)rank, ort_type(dtype), out), WV_ARGUMENT, why);
	ort_release_memory(memory);
	return status;
}

static int32_t describe(const OrtSession *ort, size_t index, int input, wv_tensor *out, char *why) {
	OrtAllocator *allocator = NULL;
	OrtTypeInfo *type = NULL;
	const OrtTensorInfo *info = NULL;
	char *name = NULL;
	const char *names[WV_DIMS] = {NULL};
	size_t rank = 0;
	int element = 0;
	memset(out, 0, sizeof *out);
	int32_t status = told(ort_allocator(&allocator), WV_MODEL, why);
	if (status == WV_OK)
		status = told(input ? ort_input_name(ort, index, allocator, &name) : ort_output_name(ort, index, allocator, &name),
			WV_MODEL, why);
	if (status == WV_OK)
		status = told(input ? ort_input_type(ort, index, &type) : ort_output_type(ort, index, &type), WV_MODEL, why);
	if (status == WV_OK) status = told(ort_as_tensor(type, &info), WV_MODEL, why);
	if (status == WV_OK && !info) status = refuse(WV_UNSUPPORTED, why, "an input or output is no tensor");
	if (status == WV_OK) status = told(ort_rank(info, &rank), WV_MODEL, why);
	if (status == WV_OK && rank > WV_DIMS) status = refuse(WV_UNSUPPORTED, why, "more than 8 dimensions");
	if (status == WV_OK) status = told(ort_element_type(info, &element), WV_MODEL, why);
	if (status == WV_OK) status = told(ort_dims(info, out->dims, rank), WV_MODEL, why);
	if (status == WV_OK) status = told(ort_dim_names(info, names, rank), WV_MODEL, why);
	if (status == WV_OK) {
		out->input = input;
		out->rank = (int32_t)rank;
		out->dtype = wv_type(element);
		snprintf(out->name, WV_NAME, "%s", name);
		for (size_t i = 0; i < rank; i++)
			if (names[i]) snprintf(out->dim_names[i], WV_DIM_NAME, "%s", names[i]);
		if (out->dtype < 0) {
			char text[WV_WHY];
			snprintf(text, sizeof text, "\"%s\" is of a type that has no place here", name);
			status = refuse(WV_UNSUPPORTED, why, text);
		}
	}
	if (name) told(ort_free(allocator, name), WV_INTERNAL, NULL);
	if (type) ort_release_type(type);
	return status;
}

int32_t session_open(struct session *session, const void *onnx, uint64_t size, const char *const *names,
	OrtValue *const *values, int32_t replaced, char *why) {
	OrtSessionOptions *options = NULL;
	size_t inputs = 0, outputs = 0;
	memset(session, 0, sizeof *session);
	int32_t status = told(ort_create_options(&options), WV_INTERNAL, why);
	if (status != WV_OK) return status;
	told(ort_set_threads(options, 1), WV_INTERNAL, NULL);
	told(ort_set_severity(options, 4), WV_INTERNAL, NULL);
	told(ort_config(options, "session.intra_op.allow_spinning", "0"), WV_INTERNAL, NULL);
	for (int32_t i = 0; i < replaced && status == WV_OK; i++)
		status = told(ort_add_initializer(options, names[i], values[i]), WV_REFIT, why);
	if (status == WV_OK)
		status = told(ort_create_session(ort_env(), onnx, size, options, &session->ort), WV_MODEL, why);
	ort_release_options(options);
	if (status == WV_OK) status = told(ort_inputs(session->ort, &inputs), WV_MODEL, why);
	if (status == WV_OK) status = told(ort_outputs(session->ort, &outputs), WV_MODEL, why);
	if (status == WV_OK && inputs + outputs > MOST_TENSORS)
		status = refuse(WV_UNSUPPORTED, why, "too many inputs and outputs for the stand-in");
	for (size_t i = 0; i < inputs + outputs && status == WV_OK; i++)
		status = describe(session->ort, i < inputs ? i : i - inputs, i < inputs, &session->tensors[i], why);
	session->count = (int32_t)(inputs + outputs);
	if (status != WV_OK) session_close(session);
	return status;
}

void session_close(struct session *session) {
	if (session->ort) ort_release_session(session->ort);
	session->ort = NULL;
}

/* --- a walk over the protobuf: ModelProto.graph = 7, GraphProto.initializer = 5 -------------------- */

struct span {
	const uint8_t *at, *end;
};

static uint64_t varint(struct span *s) {
	uint64_t value = 0;
	for (int shift = 0; s->at < s->end && shift < 64; shift += 7) {
		uint8_t byte = *s->at++;
		value |= (uint64_t)(byte & 127) << shift;
		if (!(byte & 128)) break;
	}
	return value;
}

/* The next field: its number, or 0 at the end or where the bytes make no sense. */
static uint32_t field(struct span *s, struct span *body, uint64_t *value) {
	if (s->at >= s->end) return 0;
	uint64_t key = varint(s), size = 0;
	*value = 0;
	body->at = body->end = s->at;
	switch (key & 7) {
		case 0: *value = varint(s); return (uint32_t)(key >> 3);
		case 1: size = 8; break;
		case 2: size = varint(s); break;
		case 5: size = 4; break;
		default: return 0;
	}
	if (size > (uint64_t)(s->end - s->at)) return 0;
	body->at = s->at;
	body->end = s->at += size;
	return (uint32_t)(key >> 3);
}

/* TensorProto: dims = 1 (packed or not), data_type = 2, name = 8. */
static void read_initialiser(struct span s, struct initialiser *out) {
	struct span body;
	uint64_t value;
	memset(out, 0, sizeof *out);
	for (uint32_t f; (f = field(&s, &body, &value));) {
		if (f == 1 && body.at == body.end && out->rank < WV_DIMS) out->dims[out->rank++] = (int64_t)value;
		else if (f == 1)
			while (body.at < body.end && out->rank < WV_DIMS) out->dims[out->rank++] = (int64_t)varint(&body);
		else if (f == 2) out->dtype = wv_type((int)value);
		else if (f == 8) snprintf(out->name, WV_NAME, "%.*s", (int)(body.end - body.at), (const char *)body.at);
	}
	out->count = 1;
	for (int32_t i = 0; i < out->rank; i++) out->count *= (uint64_t)out->dims[i];
}

int32_t initialisers_of(const uint8_t *onnx, uint64_t size, struct initialiser *into, int32_t most) {
	struct span model = {onnx, onnx + size}, graph, tensor;
	uint64_t value;
	int32_t count = 0;
	for (uint32_t f; (f = field(&model, &graph, &value));)
		if (f == 7)
			for (uint32_t g; (g = field(&graph, &tensor, &value));)
				if (g == 5) {
					if (count < most) read_initialiser(tensor, &into[count]);
					count++;
				}
	return count;
}
