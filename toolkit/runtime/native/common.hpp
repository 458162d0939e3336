// What the shim's parts share: status codes out of exceptions, threads with a stack of their own, types.
#pragma once

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "log.hpp"
#include "wattvox_trt.h"

struct wv_runtime {
	std::shared_ptr<nvinfer1::IRuntime> runtime;
};

namespace wv {

/// A failure with its status and reason, thrown inside the shim only.
struct Failure {
	int32_t status;
	std::string why;
};

[[noreturn]] inline void fail(int32_t status, std::string why) { throw Failure{status, std::move(why)}; }

/// Throws what TensorRT complained of since the log's `begin`.
[[noreturn]] inline void failAsLogged(int32_t status, char const* otherwise) {
	char why[WV_WHY];
	int32_t const blamed = theLog().blame(status, why, otherwise);
	fail(blamed, why);
}

inline void cuda(cudaError_t code, char const* what) {
	if (code == cudaSuccess) return;
	cudaGetLastError();  // clears it, where it can be cleared
	fail(code == cudaErrorMemoryAllocation ? WV_MEMORY : WV_DEVICE,
		std::string(what) + ": " + cudaGetErrorString(code));
}

/// Runs `body`; what it throws becomes a status.
template <typename Body>
int32_t guarded(char* why, Body&& body) noexcept {
	try {
		put(why, WV_WHY, "");
		body();
		return WV_OK;
	} catch (Failure const& f) {
		put(why, WV_WHY, f.why.c_str());
		return f.status;
	} catch (std::bad_alloc const&) {
		put(why, WV_WHY, "no memory left in this process");
		return WV_MEMORY;
	} catch (std::exception const& e) {
		put(why, WV_WHY, e.what());
		return WV_INTERNAL;
	} catch (...) {
		put(why, WV_WHY, "an exception of an unknown kind");
		return WV_INTERNAL;
	}
}

/// The same on a fresh thread, whose stack is large enough for TensorRT whatever the caller's is.
template <typename Body>
int32_t guardedAside(char* why, Body&& body) noexcept {
	return guarded(why, [&] {
		std::exception_ptr thrown;
		std::thread aside([&] {
			try {
				body();
			} catch (...) {
				thrown = std::current_exception();
			}
		});
		aside.join();
		if (thrown) std::rethrow_exception(thrown);
	});
}

inline void require(bool holds, char const* why) {
	if (!holds) fail(WV_ARGUMENT, why);
}

/// WV dtype of TensorRT's; fails with WV_UNSUPPORTED for one that has no name here.
inline int32_t dtypeOf(nvinfer1::DataType type, char const* name) {
	switch (type) {
		case nvinfer1::DataType::kFLOAT: return WV_FLOAT32;
		case nvinfer1::DataType::kHALF: return WV_FLOAT16;
		case nvinfer1::DataType::kINT8: return WV_INT8;
		case nvinfer1::DataType::kINT32: return WV_INT32;
		case nvinfer1::DataType::kBOOL: return WV_BOOL;
		case nvinfer1::DataType::kUINT8: return WV_UINT8;
#if NV_TENSORRT_MAJOR >= 10
		case nvinfer1::DataType::kINT64: return WV_INT64;
#endif
		default: fail(WV_UNSUPPORTED, std::string("\"") + name + "\" is of a type that has no place here");
	}
}

inline uint64_t bytesOf(int32_t dtype) {
	switch (dtype) {
		case WV_INT64: return 8;
		case WV_FLOAT32:
		case WV_INT32: return 4;
		case WV_FLOAT16: return 2;
		default: return 1;
	}
}

inline void describe(wv_tensor& out, char const* name, bool input, nvinfer1::DataType type,
	nvinfer1::Dims const& dims) {
	out = wv_tensor{};
	if (strnlen(name, WV_NAME) >= WV_NAME) fail(WV_UNSUPPORTED, std::string("too long a name: ") + name);
	put(out.name, WV_NAME, name);
	out.input = input ? 1 : 0;
	out.dtype = dtypeOf(type, name);
	out.rank = dims.nbDims;
	for (int32_t i = 0; i < dims.nbDims && i < WV_DIMS; ++i) out.dims[i] = dims.d[i];
}

}  // namespace wv
