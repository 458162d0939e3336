/*
 * A library that exports wattvox_trt.h with ONNX Runtime behind it, so that everything above that header
 * can be tested with real numbers where there is no TensorRT. For tests only: never packaged.
 *
 * It lies when it is told to: words in a file beside it, its own path with ".lie" appended, looked up
 * each time that one of them would matter.
 *
 *   abi              wv_abi gives another number
 *   no-device        no runtime opens
 *   endless-facts    what it runs on is never told: the caller's thread hangs; says so in ".told"
 *   other-version    another patch version: engines of the true one are refused
 *   nan, wrong       every float output is NaN, or half as large again as it should be
 *   memory-device    runs fail as for want of device memory
 *   memory-build     the builder takes memory until it gets no more
 *   killed-build     the builder's process is killed, as the kernel does when memory runs out
 *   endless-build    the builder never ends and cannot be cancelled
 *   slow-build       the builder takes 200 steps of 10 ms, and can be cancelled
 *   corrupt          the plan is damaged after it was built, or serialised
 *   refit-drops      the last weight of a refit is left as it was, and no error says so
 *   serialize-drops  what is serialised has the weights from before its refits
 *   memory-refit     a refit takes memory until it gets no more
 *   endless-refit    a refit never ends
 *   endless-run      runs never end
 *   crash-open, crash-build, crash-load, crash-refit, crash-serialize, crash-run
 *                    abort() there
 */
#ifndef STAND_IN_H
#define STAND_IN_H

#include "../native/wattvox_trt.h"
#include "ort.h"

#define STEPS_SLOW 200

struct wv_runtime {
	int32_t version[4];
};

/* One input's bounds in one profile, as a plan holds it. */
struct range {
	int32_t profile, rank;
	char name[WV_NAME];
	int64_t min[WV_DIMS], opt[WV_DIMS], max[WV_DIMS];
};

/* What a plan begins with; ranges, the model and the weights of a refit follow. */
struct head {
	char magic[16];
	uint64_t sum; /* of all that follows this field */
	int32_t version[4];
	int32_t refit, ranges, puts, reserved;
	uint64_t onnx;
};
#define MAGIC "WATTVOX STAND-IN"

/* An initialiser of a model, as ort_tensor_of_data wants it. */
struct initialiser {
	char name[WV_NAME];
	int32_t dtype;
	int32_t rank;
	int64_t dims[WV_DIMS];
	uint64_t count;
};

/* lies.c */
int lies(const char *word);
void leave_word(const char *word); /* in a file beside the library, ".told" */
void lie_crash(const char *word);
void crash(void);
uint64_t sum_of(const void *data, uint64_t size);
/* support.c, or whoever else links with model.c */
void say(int32_t level, const char *text);
int32_t refuse(int32_t status, char *why, const char *text);
/* Runs `body(with)` on a thread with an ordinary stack: FFIs call from small ones. */
int32_t aside(int32_t (*body)(void *), void *with);
/* support.c: as much memory as the process gets, which a limit is to hold below 16 GiB. */
int32_t take_all_memory(char *why);

/* model.c */
#define MOST_TENSORS 64
struct session {
	OrtSession *ort;
	int32_t count;
	wv_tensor tensors[MOST_TENSORS]; /* inputs, then outputs */
};
/* A status of ONNX Runtime's as one of ours, released; its text goes to `why` and the log. */
int32_t told(OrtStatus *status, int32_t otherwise, char *why);
int32_t session_open(struct session *session, const void *onnx, uint64_t size, const char *const *names,
	OrtValue *const *values, int32_t replaced, char *why);
void session_close(struct session *session);
/* The value of a tensor in this process's memory, not copied. */
int32_t value_of(void *data, uint64_t bytes, const int64_t *dims, int32_t rank, int32_t dtype,
	OrtValue **out, char *why);
int ort_type(int32_t dtype);
uint64_t bytes_of(int32_t dtype);
/* Initialisers of a serialised ModelProto; how many were found, at most `most` are written. */
int32_t initialisers_of(const uint8_t *onnx, uint64_t size, struct initialiser *into, int32_t most);

#endif
