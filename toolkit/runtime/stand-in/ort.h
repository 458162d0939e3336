/*
 * As much of ONNX Runtime's C API as the stand-in calls. Its function table only ever grows at the end, so
 * a function's place in it is part of its ABI; the places are those of onnxruntime_c_api.h since version 8.
 * Every function here that is not a release returns a status, NULL when all went well.
 */
#ifndef STAND_IN_ORT_H
#define STAND_IN_ORT_H

#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorInfo OrtTensorInfo;
typedef struct OrtAllocator OrtAllocator;

/* The library's table; NULL when it could not be loaded. */
void *const *ort_table(void);
/* The one environment of the process. */
OrtEnv *ort_env(void);

#define ORT(place, type) ((type)ort_table()[place])

#define ort_error_code ORT(1, int (*)(const OrtStatus *))
#define ort_error_text ORT(2, const char *(*)(const OrtStatus *))
#define ort_create_env ORT(3, OrtStatus *(*)(int level, const char *id, OrtEnv **))
#define ort_create_session ORT(8, OrtStatus *(*)(OrtEnv *, const void *, size_t, const OrtSessionOptions *, OrtSession **))
#define ort_run ORT(9, OrtStatus *(*)(OrtSession *, const void *options, const char *const *inputs, \
	const OrtValue *const *values, size_t, const char *const *outputs, size_t, OrtValue **))
#define ort_create_options ORT(10, OrtStatus *(*)(OrtSessionOptions **))
#define ort_set_severity ORT(22, OrtStatus *(*)(OrtSessionOptions *, int))
#define ort_set_threads ORT(24, OrtStatus *(*)(OrtSessionOptions *, int))
#define ort_inputs ORT(30, OrtStatus *(*)(const OrtSession *, size_t *))
#define ort_outputs ORT(31, OrtStatus *(*)(const OrtSession *, size_t *))
#define ort_input_type ORT(33, OrtStatus *(*)(const OrtSession *, size_t, OrtTypeInfo **))
#define ort_output_type ORT(34, OrtStatus *(*)(const OrtSession *, size_t, OrtTypeInfo **))
#define ort_input_name ORT(36, OrtStatus *(*)(const OrtSession *, size_t, OrtAllocator *, char **))
#define ort_output_name ORT(37, OrtStatus *(*)(const OrtSession *, size_t, OrtAllocator *, char **))
#define ort_tensor_of_data ORT(49, OrtStatus *(*)(const OrtMemoryInfo *, void *, size_t bytes, \
	const int64_t *dims, size_t rank, int type, OrtValue **))
#define ort_data ORT(51, OrtStatus *(*)(OrtValue *, void **))
#define ort_as_tensor ORT(55, OrtStatus *(*)(const OrtTypeInfo *, const OrtTensorInfo **))
#define ort_element_type ORT(60, OrtStatus *(*)(const OrtTensorInfo *, int *))
#define ort_rank ORT(61, OrtStatus *(*)(const OrtTensorInfo *, size_t *))
#define ort_dims ORT(62, OrtStatus *(*)(const OrtTensorInfo *, int64_t *, size_t))
#define ort_dim_names ORT(63, OrtStatus *(*)(const OrtTensorInfo *, const char **, size_t))
#define ort_value_info ORT(65, OrtStatus *(*)(const OrtValue *, OrtTensorInfo **))
#define ort_cpu_memory ORT(69, OrtStatus *(*)(int allocator, int type, OrtMemoryInfo **))
#define ort_free ORT(76, OrtStatus *(*)(OrtAllocator *, void *))
#define ort_allocator ORT(78, OrtStatus *(*)(OrtAllocator **))
#define ort_release_status ORT(93, void (*)(OrtStatus *))
#define ort_release_memory ORT(94, void (*)(OrtMemoryInfo *))
#define ort_release_session ORT(95, void (*)(OrtSession *))
#define ort_release_value ORT(96, void (*)(OrtValue *))
#define ort_release_type ORT(98, void (*)(OrtTypeInfo *))
#define ort_release_info ORT(99, void (*)(OrtTensorInfo *))
#define ort_release_options ORT(100, void (*)(OrtSessionOptions *))
#define ort_config ORT(130, OrtStatus *(*)(OrtSessionOptions *, const char *key, const char *value))
#define ort_add_initializer ORT(150, OrtStatus *(*)(OrtSessionOptions *, const char *, const OrtValue *))

#endif
