// As much of TensorRT's runtime as the shim calls, by the names and with the meanings of NVIDIA's
// documentation, so that the shim itself can be run where there is no TensorRT. Behind it is ONNX Runtime.
// Compiled with -DNV_TENSORRT_MAJOR=8 it has what 8.5 has: dims of 32 bits, and no int64.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#ifndef NV_TENSORRT_MAJOR
#define NV_TENSORRT_MAJOR 10
#define NV_TENSORRT_MINOR 3
#define NV_TENSORRT_PATCH 0
#endif

namespace nvinfer1 {

enum class DataType : int32_t { kFLOAT, kHALF, kINT8, kINT32, kBOOL, kUINT8, kFP8, kBF16, kINT64 };
enum class OptProfileSelector : int32_t { kMIN, kOPT, kMAX };
enum class TensorIOMode : int32_t { kNONE, kINPUT, kOUTPUT };
enum class TensorLocation : int32_t { kDEVICE, kHOST };

struct Dims {
	int32_t nbDims;
#if NV_TENSORRT_MAJOR >= 10
	int64_t d[8];
#else
	int32_t d[8];
#endif
};

struct Weights {
	DataType type;
	void const* values;
	int64_t count;
};

class ILogger {
public:
	enum class Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };
	virtual void log(Severity severity, char const* text) noexcept = 0;
	virtual ~ILogger() = default;
};

class IHostMemory {
public:
	virtual ~IHostMemory() = default;
	virtual void* data() const = 0;
	virtual size_t size() const = 0;
};

class IExecutionContext {
public:
	virtual ~IExecutionContext() = default;
	virtual bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) = 0;
	virtual bool setInputShape(char const* name, Dims const& dims) = 0;
	virtual bool setTensorAddress(char const* name, void* data) = 0;
	virtual int32_t inferShapes(int32_t most, char const** names) = 0;
	virtual Dims getTensorShape(char const* name) const = 0;
	virtual bool enqueueV3(cudaStream_t stream) = 0;
};

class ICudaEngine {
public:
	virtual ~ICudaEngine() = default;
	virtual IExecutionContext* createExecutionContext() = 0;
	virtual int32_t getNbIOTensors() const = 0;
	virtual char const* getIOTensorName(int32_t index) const = 0;
	virtual TensorIOMode getTensorIOMode(char const* name) const = 0;
	virtual DataType getTensorDataType(char const* name) const = 0;
	virtual Dims getTensorShape(char const* name) const = 0;
	virtual TensorLocation getTensorLocation(char const* name) const = 0;
	virtual int32_t getNbOptimizationProfiles() const = 0;
	virtual Dims getProfileShape(char const* name, int32_t profile, OptProfileSelector which) const = 0;
	virtual bool isRefittable() const = 0;
	virtual IHostMemory* serialize() const = 0;
};

class IRefitter {
public:
	virtual ~IRefitter() = default;
	virtual int32_t getAllWeights(int32_t size, char const** names) = 0;
	virtual int32_t getMissingWeights(int32_t size, char const** names) = 0;
	virtual Weights getWeightsPrototype(char const* name) const = 0;
	virtual bool setNamedWeights(char const* name, Weights weights) = 0;
	virtual bool refitCudaEngine() = 0;
};

class IRuntime {
public:
	virtual ~IRuntime() = default;
	virtual ICudaEngine* deserializeCudaEngine(void const* plan, size_t size) = 0;
};

IRuntime* createInferRuntime(ILogger& logger);
IRefitter* createInferRefitter(ICudaEngine& engine, ILogger& logger);

}  // namespace nvinfer1

int32_t getInferLibVersion();
int32_t getInferLibMajorVersion();
int32_t getInferLibMinorVersion();
int32_t getInferLibPatchVersion();
int32_t getInferLibBuildVersion();
