// An engine with its thread, shared by its handle, its run and that thread: whoever is last frees it.
#pragma once

#include <condition_variable>
#include <map>
#include <vector>

#include "common.hpp"

namespace wv {

/// Memory of the device and, where it is pinned, of the host; it only grows.
class Block {
public:
	explicit Block(bool device) : device_(device) {}
	Block(Block&& other) noexcept : device_(other.device_), data_(other.data_), size_(other.size_) {
		other.data_ = nullptr;
		other.size_ = 0;
	}
	Block(Block const&) = delete;
	Block& operator=(Block const&) = delete;
	~Block() { release(); }

	void* atLeast(uint64_t bytes) {
		if (bytes <= size_ && data_) return data_;
		release();
		uint64_t const size = bytes ? bytes : 1;  // TensorRT refuses a null address even for nothing
		cuda(device_ ? cudaMalloc(&data_, size) : cudaMallocHost(&data_, size), "taking memory for a tensor");
		size_ = size;
		return data_;
	}
	void* data() const { return data_; }

private:
	void release() {
		if (data_) device_ ? cudaFree(data_) : cudaFreeHost(data_);
		data_ = nullptr;
		size_ = 0;
	}
	bool device_;
	void* data_ = nullptr;
	uint64_t size_ = 0;
};

/// One input or output of an engine, and what the run that is under way has for it.
struct Slot {
	wv_tensor described{};
	/// Shape tensors are read on the host.
	bool onHost = false;
	std::vector<nvinfer1::Dims> min, opt, max;  // by profile
	Block host{false};
	Block device{true};
	bool fed = false;
	nvinfer1::Dims dims{};
	uint64_t bytes = 0;
};

struct Weight {
	std::string name;
	nvinfer1::DataType type;
	std::vector<char> data;
	int64_t count;
};

class EngineState {
public:
	enum class Phase { kFree, kFeeding, kRunning, kDone };

	EngineState(std::shared_ptr<nvinfer1::IRuntime> runtime, void const* plan, uint64_t size);
	~EngineState();

	/// The engine's thread: runs what is started until the handle is closed. `self` keeps all this alive.
	static void serve(std::shared_ptr<EngineState> self);

	void refit(std::vector<Weight> const& weights);
	/// The engine with the weights it has now, kept in `serialized`.
	void serialize();
	Slot& slot(int32_t index);

	std::mutex mutex;
	std::condition_variable changed;
	Phase phase = Phase::kFree;
	/// Nobody waits for the run under way: when it ends the engine is free.
	bool abandoned = false;
	bool closing = false;
	int32_t status = WV_OK;
	char why[WV_WHY] = "";

	std::vector<Slot> slots;
	std::vector<std::string> weights;
	std::vector<Weight> pending;

private:
	void describeTensors();
	void describeWeights();
	void run();
	int32_t profileOf() const;
	void bindInputs();
	void bindOutputs();

	// Destroyed in the reverse order: contexts before their engine, engines before their runtime.
	std::shared_ptr<nvinfer1::IRuntime> runtime_;
	std::unique_ptr<nvinfer1::ICudaEngine> engine_;
	std::unique_ptr<nvinfer1::IExecutionContext> context_;
	cudaStream_t stream_ = nullptr;
	int32_t profile_ = 0;

public:
	std::unique_ptr<nvinfer1::IHostMemory> serialized;
};

}  // namespace wv
