// As much of TensorRT's builder as the shim calls; see NvInferRuntime.h.
#pragma once

#include "NvInferRuntime.h"

namespace nvinfer1 {

enum class NetworkDefinitionCreationFlag : int32_t { kEXPLICIT_BATCH };
enum class BuilderFlag : int32_t { kFP16, kREFIT = 4, kTF32 = 7, kBF16 = 17 };
enum class MemoryPoolType : int32_t { kWORKSPACE };

class ITensor {
public:
	virtual ~ITensor() = default;
	virtual char const* getName() const = 0;
	virtual DataType getType() const = 0;
	virtual Dims getDimensions() const = 0;
	virtual char const* getDimensionName(int32_t index) const = 0;
};

class INetworkDefinition {
public:
	virtual ~INetworkDefinition() = default;
	virtual int32_t getNbInputs() const = 0;
	virtual int32_t getNbOutputs() const = 0;
	virtual ITensor* getInput(int32_t index) const = 0;
	virtual ITensor* getOutput(int32_t index) const = 0;
};

class IOptimizationProfile {
public:
	virtual ~IOptimizationProfile() = default;
	virtual bool setDimensions(char const* name, OptProfileSelector which, Dims const& dims) = 0;
	virtual bool isValid() const = 0;
};

class ITimingCache {
public:
	virtual ~ITimingCache() = default;
	virtual IHostMemory* serialize() const = 0;
};

#if NV_TENSORRT_MAJOR >= 10
class IProgressMonitor {
public:
	virtual ~IProgressMonitor() = default;
	virtual void phaseStart(char const* phase, char const* parent, int32_t steps) noexcept = 0;
	virtual bool stepComplete(char const* phase, int32_t step) noexcept = 0;
	virtual void phaseFinish(char const* phase) noexcept = 0;
};
#endif

class IBuilderConfig {
public:
	virtual ~IBuilderConfig() = default;
	virtual void setFlag(BuilderFlag flag) = 0;
	virtual void clearFlag(BuilderFlag flag) = 0;
	virtual void setMemoryPoolLimit(MemoryPoolType pool, size_t bytes) = 0;
	virtual int32_t addOptimizationProfile(IOptimizationProfile* profile) = 0;
	virtual ITimingCache* createTimingCache(void const* data, size_t size) = 0;
	virtual bool setTimingCache(ITimingCache const& cache, bool ignoreMismatch) = 0;
#if NV_TENSORRT_MAJOR >= 10
	virtual void setProgressMonitor(IProgressMonitor* monitor) = 0;
	virtual void setBuilderOptimizationLevel(int32_t level) = 0;
#endif
};

class IBuilder {
public:
	virtual ~IBuilder() = default;
	virtual INetworkDefinition* createNetworkV2(uint32_t flags) = 0;
	virtual IBuilderConfig* createBuilderConfig() = 0;
	virtual IOptimizationProfile* createOptimizationProfile() = 0;
	virtual IHostMemory* buildSerializedNetwork(INetworkDefinition& network, IBuilderConfig& config) = 0;
};

IBuilder* createInferBuilder(ILogger& logger);

}  // namespace nvinfer1
