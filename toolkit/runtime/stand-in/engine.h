/* The stand-in's engine: shared by its handle, its run and the thread of a run; the last one frees it. */
#ifndef STAND_IN_ENGINE_H
#define STAND_IN_ENGINE_H

#include <pthread.h>

#include "stand-in.h"

enum phase { FREE, FEEDING, RUNNING, DONE };

/* What the run that is under way has for one input or output. */
struct slot {
	void *data; /* of an input */
	OrtValue *value; /* of an output */
	uint64_t bytes;
	int32_t rank, fed;
	int64_t dims[WV_DIMS];
};

/* A new value of an initialiser; ONNX Runtime reads `data` for as long as the session lives. */
struct weight {
	char name[WV_NAME];
	int32_t dtype;
	uint64_t count;
	void *data;
	OrtValue *value;
};

struct state {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int holders;
	enum phase phase;
	int abandoned, closing;
	int32_t status;
	char why[WV_WHY];

	uint8_t *plan;
	uint64_t size;
	struct head head;
	const struct range *ranges; /* into the plan, like the model */
	const uint8_t *onnx;
	const uint8_t *putting; /* weights of a refit before it was serialised, to the plan's end */
	struct session session;
	struct slot slots[MOST_TENSORS];
	struct initialiser *weights;
	int32_t weight_count;
	struct weight *pending, *put;
	int32_t pending_count, put_count;
	uint8_t *serialized;
	uint64_t serialized_size;
};

struct wv_engine {
	struct state *state;
};
struct wv_run {
	struct state *state;
};

void free_weights(struct weight *weights, int32_t count);
/* Puts in the weights that the plan brings. */
int32_t put_again(struct state *state, char *why);
/* Takes the mutex away with it when it is the last. */
void let_go(struct state *state);
/* Frees a state that nobody holds, on a thread with a stack of its own. */
void destroy_aside(struct state *state);
void clear_slots(struct state *state);
/* One run, in the calling thread. */
int32_t run_once(struct state *state, char *why);
#endif
