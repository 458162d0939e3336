/*
 * wattvox_trt.h: TensorRT behind a C ABI, for an FFI.
 *
 * Two libraries export these symbols: the shim (wattvox_trt.cpp), compiled on the device against its own
 * TensorRT, and a stand-in for tests. Both pass the same contract suite.
 *
 * RULES
 * - Every function that can fail returns a status, WV_OK or another wv_status, and writes one line into
 *   `why`, a buffer of WV_WHY bytes that may be NULL. On failure no out parameter is written.
 * - Nothing throws across this boundary, and no function calls back: logs are read from a ring.
 * - What is passed in is only lent for the length of the call; what is needed longer is copied.
 * - TensorRT runs on threads that the library makes: a caller's thread may have a small stack, as those
 *   of an FFI's asynchronous calls do.
 * - Handles are used by one thread at a time, except where a function says otherwise. A handle may be
 *   closed before those that were made from it: they keep what they need.
 * - Integers of fixed width only; a shape is `rank` dims, -1 where one is free.
 */
#ifndef WATTVOX_TRT_H
#define WATTVOX_TRT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WV_API __attribute__((visibility("default")))

/* Rises whenever anything below changes its meaning. */
#define WV_ABI 2
/* Bytes of a `why`, of a name, and of a dimension's name, with their final zero. */
#define WV_WHY 512
#define WV_NAME 256
#define WV_DIM_NAME 64
#define WV_DIMS 8

enum wv_status {
	WV_OK = 0,
	WV_PENDING = 1,     /* not yet: ask again */
	WV_BUSY = 2,        /* the engine has a run already */
	WV_ARGUMENT = 3,    /* the caller's fault: a bad index, dtype, size or order of calls */
	WV_UNSUPPORTED = 4, /* TensorRT cannot do this; `why` names what */
	WV_MODEL = 5,       /* the ONNX model does not parse, or its profiles do not fit it */
	WV_BUILD = 6,       /* the builder gave up */
	WV_ENGINE = 7,      /* the plan is refused: damaged, or of another version or device */
	WV_SHAPE = 8,       /* no profile has these shapes */
	WV_REFIT = 9,       /* not refittable, no such weight, wrong count, or weights missing */
	WV_MEMORY = 10,
	WV_DEVICE = 11,     /* no CUDA device, or it failed */
	WV_CANCELLED = 12,
	WV_INTERNAL = 13
};

enum wv_dtype {
	WV_FLOAT32 = 0,
	WV_FLOAT16 = 1,
	WV_INT8 = 2,
	WV_INT32 = 3,
	WV_BOOL = 4,
	WV_UINT8 = 5,
	WV_INT64 = 6
};

enum wv_level { WV_FATAL = 0, WV_ERROR = 1, WV_WARNING = 2, WV_INFO = 3, WV_VERBOSE = 4 };

typedef struct wv_runtime wv_runtime;
typedef struct wv_build wv_build;
typedef struct wv_engine wv_engine;
typedef struct wv_run wv_run;

typedef struct wv_facts {
	int32_t library[4]; /* of TensorRT: major, minor, patch, build; -1 where it does not say */
	int32_t headers[3]; /* that the library was compiled against */
	int32_t cuda;       /* 1000 * major + 10 * minor */
	int32_t driver;     /* the newest CUDA that the driver knows, likewise */
	int32_t capability[2];
	int32_t multiprocessors;
	int64_t memory;     /* of the device, bytes */
	char device[WV_NAME];
} wv_facts;

typedef struct wv_tensor {
	int32_t input; /* 1, or 0 for an output */
	int32_t dtype;
	int32_t rank;
	int32_t reserved;
	int64_t dims[WV_DIMS];
	char name[WV_NAME];
	char dim_names[WV_DIMS][WV_DIM_NAME]; /* "" where unknown, as for all of an engine */
} wv_tensor;

typedef struct wv_progress {
	int32_t step;
	int32_t steps; /* 0 where the builder does not say */
	char phase[WV_NAME];
} wv_progress;

/* --- the library ------------------------------------------------------------------------------- */

/* WV_ABI of the library. Ask this before anything else. */
WV_API int32_t wv_abi(void);

/* The first log line whose number is above `after` (0: the oldest kept), cut to WV_WHY bytes. Numbers
 * rise by one; a gap means that lines were lost. WV_PENDING when there is none. Any thread. */
WV_API int32_t wv_log(uint64_t after, uint64_t *number, int32_t *level, char *text);

/* --- runtime ----------------------------------------------------------------------------------- */

WV_API int32_t wv_runtime_open(wv_runtime **out, char *why);
WV_API void wv_runtime_close(wv_runtime *runtime);
WV_API int32_t wv_runtime_facts(wv_runtime *runtime, wv_facts *out, char *why);

/* --- building: open, parse, set, range, cache, then run once, read the results, close ------------- */

enum wv_option {
	/* 1 allows half precision, and TF32 beside it; without either, single precision is not rounded to TF32 */
	WV_OPTION_FP16 = 0,
	WV_OPTION_BF16 = 1,
	WV_OPTION_REFIT = 2,     /* 1 makes every weight refittable */
	WV_OPTION_WORKSPACE = 3, /* bytes */
	WV_OPTION_LEVEL = 4      /* builder optimisation level */
};
enum wv_result { WV_PLAN = 0, WV_TIMING_CACHE = 1 };

WV_API int32_t wv_build_open(wv_runtime *runtime, wv_build **out, char *why);
WV_API void wv_build_close(wv_build *build);
/* `path` is where external data is looked for beside; NULL without any. */
WV_API int32_t wv_build_parse(wv_build *build, const void *onnx, uint64_t size, const char *path, char *why);
/* Inputs, then outputs, as the parser saw them; WV_ARGUMENT beyond the last. */
WV_API int32_t wv_build_tensor(wv_build *build, int32_t index, wv_tensor *out);
WV_API int32_t wv_build_set(wv_build *build, int32_t option, int64_t value, char *why);
/* An input's bounds in profile 0, 1, ...; profiles are begun in order. */
WV_API int32_t wv_build_range(wv_build *build, int32_t profile, const char *input, int32_t rank,
	const int64_t *min, const int64_t *opt, const int64_t *max, char *why);
/* A cache that does not fit the device is ignored, with a warning in the log. */
WV_API int32_t wv_build_cache(wv_build *build, const void *data, uint64_t size, char *why);
/* Builds; blocks for as long as that takes. Once per build. */
WV_API int32_t wv_build_run(wv_build *build, char *why);
/* Where the builder is. Any thread, also while wv_build_run blocks. */
WV_API int32_t wv_build_progress(wv_build *build, wv_progress *out);
/* Asks wv_build_run to end with WV_CANCELLED at the next step. Any thread. Before TensorRT 10 a build
 * cannot be cancelled, and this does nothing: end the process. */
WV_API void wv_build_cancel(wv_build *build);
WV_API int32_t wv_build_size(wv_build *build, int32_t result, uint64_t *out);
WV_API int32_t wv_build_read(wv_build *build, int32_t result, void *into, uint64_t size);

/* --- engines ----------------------------------------------------------------------------------- */

WV_API int32_t wv_engine_open(wv_runtime *runtime, const void *plan, uint64_t size, wv_engine **out, char *why);
/* Never blocks: a run under way ends unseen, then all is freed. */
WV_API void wv_engine_close(wv_engine *engine);
/* Inputs and outputs in the engine's order; WV_ARGUMENT beyond the last. */
WV_API int32_t wv_engine_tensor(wv_engine *engine, int32_t index, wv_tensor *out);
/* An input's bounds, each of its rank; WV_ARGUMENT beyond the last profile, or for an output. */
WV_API int32_t wv_engine_range(wv_engine *engine, int32_t index, int32_t profile,
	int64_t *min, int64_t *opt, int64_t *max);
/* Names of the weights that can be refitted (WV_NAME bytes); WV_ARGUMENT beyond the last. */
WV_API int32_t wv_engine_weight(wv_engine *engine, int32_t index, char *name);
/* Sets a weight aside for the next wv_engine_refit. `count` is in elements. */
WV_API int32_t wv_engine_weight_set(wv_engine *engine, const char *name, int32_t dtype,
	const void *data, uint64_t count, char *why);
/* Puts in the weights that were set; not while a run is under way (WV_BUSY). After a failure the engine
 * may hold a mixture. */
WV_API int32_t wv_engine_refit(wv_engine *engine, char *why);
/* Serialises the engine as it is now, so with the weights of its refits; not while a run is under way
 * (WV_BUSY). The handle keeps the bytes until they are read, or the next serialising, or it is closed. */
WV_API int32_t wv_engine_serialize(wv_engine *engine, uint64_t *size, char *why);
/* Takes those bytes: a plan for wv_engine_open. WV_ARGUMENT when there are none, or of another size. */
WV_API int32_t wv_engine_take(wv_engine *engine, void *into, uint64_t size);

/* --- runs: open, feed every input, start, wait, read, close; one at a time per engine ------------- */

WV_API int32_t wv_run_open(wv_engine *engine, wv_run **out, char *why);
/* Abandons a run under way: it ends unseen, and until then the engine answers WV_BUSY. Never blocks. */
WV_API void wv_run_close(wv_run *run);
WV_API int32_t wv_run_feed(wv_run *run, int32_t index, int32_t rank, const int64_t *dims,
	const void *data, uint64_t bytes, char *why);
/* Hands the run to the engine's thread and returns. */
WV_API int32_t wv_run_start(wv_run *run, char *why);
/* WV_PENDING after `milliseconds`, else how the run ended. Any thread. */
WV_API int32_t wv_run_wait(wv_run *run, int32_t milliseconds, char *why);
WV_API int32_t wv_run_shape(wv_run *run, int32_t index, int32_t *rank, int64_t *dims, uint64_t *bytes);
WV_API int32_t wv_run_read(wv_run *run, int32_t index, void *into, uint64_t bytes);

#ifdef __cplusplus
}
#endif

#endif
