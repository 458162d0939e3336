// Plans are opened, run on a CUDA stream, and refitted.
#include "engine.hpp"

using nvinfer1::Dims;
using nvinfer1::OptProfileSelector;

namespace wv {

EngineState::EngineState(std::shared_ptr<nvinfer1::IRuntime> runtime, void const* plan, uint64_t size)
	: runtime_(std::move(runtime)) {
	theLog().begin();
	engine_.reset(runtime_->deserializeCudaEngine(plan, size));
	if (!engine_) failAsLogged(WV_ENGINE, "TensorRT refuses the engine");
	context_.reset(engine_->createExecutionContext());
	if (!context_) failAsLogged(WV_MEMORY, "there is no room to run the engine");
	describeTensors();
	describeWeights();
	// After all that can throw: a constructor that throws has no destructor.
	cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
}

EngineState::~EngineState() {
	if (!stream_) return;
	cudaStreamSynchronize(stream_);
	cudaStreamDestroy(stream_);
}

void EngineState::describeTensors() {
	int32_t const count = engine_->getNbIOTensors();
	int32_t const profiles = engine_->getNbOptimizationProfiles();
	for (int32_t i = 0; i < count; ++i) {
		char const* name = engine_->getIOTensorName(i);
		bool const input = engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
		Slot slot;
		describe(slot.described, name, input, engine_->getTensorDataType(name), engine_->getTensorShape(name));
		slot.onHost = engine_->getTensorLocation(name) == nvinfer1::TensorLocation::kHOST;
		Dims const shape = engine_->getTensorShape(name);
		auto const bound = [&](int32_t profile, OptProfileSelector which) {
			Dims const dims = engine_->getProfileShape(name, profile, which);
			// An engine that was built without profiles may have none to tell: then the shape is the bound.
			return dims.nbDims == shape.nbDims ? dims : shape;
		};
		for (int32_t p = 0; input && p < profiles; ++p) {
			slot.min.push_back(bound(p, OptProfileSelector::kMIN));
			slot.opt.push_back(bound(p, OptProfileSelector::kOPT));
			slot.max.push_back(bound(p, OptProfileSelector::kMAX));
		}
		slots.push_back(std::move(slot));
	}
}

void EngineState::describeWeights() {
	if (!engine_->isRefittable()) return;
	std::unique_ptr<nvinfer1::IRefitter> refitter(nvinfer1::createInferRefitter(*engine_, theLog()));
	if (!refitter) return;
	std::vector<char const*> names(static_cast<size_t>(refitter->getAllWeights(0, nullptr)));
	refitter->getAllWeights(static_cast<int32_t>(names.size()), names.data());
	for (char const* name : names)
		if (name) weights.emplace_back(name);
}

Slot& EngineState::slot(int32_t index) {
	require(index >= 0 && static_cast<size_t>(index) < slots.size(), "no such tensor");
	return slots[static_cast<size_t>(index)];
}

void EngineState::refit(std::vector<Weight> const& given) {
	if (weights.empty()) fail(WV_REFIT, "the engine was not built to be refitted");
	theLog().begin();
	std::unique_ptr<nvinfer1::IRefitter> refitter(nvinfer1::createInferRefitter(*engine_, theLog()));
	if (!refitter) failAsLogged(WV_REFIT, "there is no refitter");
	for (Weight const& w : given) {
		bool known = false;
		for (auto const& name : weights) known = known || name == w.name;
		if (!known) fail(WV_REFIT, "the engine has no weight \"" + w.name + "\" that can be refitted");
#if NV_TENSORRT_MAJOR >= 10
		nvinfer1::Weights const old = refitter->getWeightsPrototype(w.name.c_str());
		if (old.count != w.count)
			fail(WV_REFIT, "\"" + w.name + "\" has " + std::to_string(old.count) + " elements, not " +
				std::to_string(w.count));
		if (old.type != w.type) fail(WV_REFIT, "\"" + w.name + "\" is of another type in the engine");
#endif
		if (!refitter->setNamedWeights(w.name.c_str(), nvinfer1::Weights{w.type, w.data.data(), w.count}))
			failAsLogged(WV_REFIT, "a weight is refused");
	}
	int32_t const missing = refitter->getMissingWeights(0, nullptr);
	if (missing > 0) {
		std::vector<char const*> names(static_cast<size_t>(missing));
		refitter->getMissingWeights(missing, names.data());
		fail(WV_REFIT, std::to_string(missing) + " more weights are needed, \"" +
			(names[0] ? names[0] : "") + "\" first");
	}
	if (!refitter->refitCudaEngine()) failAsLogged(WV_REFIT, "the refit failed");
}

void EngineState::serialize() {
	serialized.reset();  // before the next: there is room for one
	theLog().begin();
	serialized.reset(engine_->serialize());
	if (!serialized || !serialized->size()) failAsLogged(WV_REFIT, "TensorRT does not serialise the engine");
}

void EngineState::serve(std::shared_ptr<EngineState> self) {
	EngineState& e = *self;
	std::unique_lock<std::mutex> held(e.mutex);
	for (;;) {
		e.changed.wait(held, [&] { return e.closing || e.phase == Phase::kRunning; });
		if (e.phase != Phase::kRunning) return;  // closing, and nothing under way
		held.unlock();
		char why[WV_WHY] = "";
		int32_t const status = guarded(why, [&] { e.run(); });
		// What was handed over before it failed may still be read or written: the next run, a refit and whoever
		// frees all this come after that.
		if (status != WV_OK) cudaStreamSynchronize(e.stream_);
		held.lock();
		e.status = status;
		put(e.why, WV_WHY, why);
		e.phase = e.abandoned ? Phase::kFree : Phase::kDone;
		e.abandoned = false;
		e.changed.notify_all();
		if (e.closing) return;
	}
}

void EngineState::run() {
	theLog().begin();
	int32_t const profile = profileOf();
	if (profile != profile_) {
		if (!context_->setOptimizationProfileAsync(profile, stream_)) failAsLogged(WV_SHAPE, "the profile is refused");
		cuda(cudaStreamSynchronize(stream_), "changing the profile");
		profile_ = profile;
	}
	bindInputs();
	bindOutputs();
	if (!context_->enqueueV3(stream_)) failAsLogged(WV_DEVICE, "TensorRT did not take the run");
	for (Slot& s : slots)
		if (!s.described.input && !s.onHost && s.bytes)
			cuda(cudaMemcpyAsync(s.host.data(), s.device.data(), s.bytes, cudaMemcpyDeviceToHost, stream_),
				"taking the results");
	cuda(cudaStreamSynchronize(stream_), "running the engine");
}

int32_t EngineState::profileOf() const {
	size_t const profiles = slots.empty() ? 0 : static_cast<size_t>(engine_->getNbOptimizationProfiles());
	for (size_t p = 0; p < profiles; ++p) {
		bool fits = true;
		for (Slot const& s : slots)
			for (int32_t i = 0; s.described.input && i < s.dims.nbDims; ++i)
				fits = fits && s.dims.d[i] >= s.min[p].d[i] && s.dims.d[i] <= s.max[p].d[i];
		if (fits) return static_cast<int32_t>(p);
	}
	fail(WV_SHAPE, "no profile of the engine has these shapes");
}

void EngineState::bindInputs() {
	for (Slot& s : slots) {
		if (!s.described.input) continue;
		char const* name = s.described.name;
		if (!context_->setInputShape(name, s.dims)) failAsLogged(WV_SHAPE, "an input's shape is refused");
		void* address = s.host.data();
		if (!s.onHost) {
			address = s.device.atLeast(s.bytes);
			if (s.bytes)
				cuda(cudaMemcpyAsync(address, s.host.data(), s.bytes, cudaMemcpyHostToDevice, stream_),
					"handing over an input");
		}
		if (!context_->setTensorAddress(name, address)) failAsLogged(WV_DEVICE, "an input's address is refused");
	}
}

void EngineState::bindOutputs() {
	char const* lacking = nullptr;
	if (context_->inferShapes(1, &lacking) != 0)
		failAsLogged(WV_SHAPE, "the shapes of the outputs do not follow from those of the inputs");
	for (Slot& s : slots) {
		if (s.described.input) continue;
		char const* name = s.described.name;
		s.dims = context_->getTensorShape(name);
		s.bytes = bytesOf(s.described.dtype);
		for (int32_t i = 0; i < s.dims.nbDims; ++i) {
			if (s.dims.d[i] < 0)
				fail(WV_UNSUPPORTED, std::string("the shape of \"") + name + "\" depends on data");
			s.bytes *= static_cast<uint64_t>(s.dims.d[i]);
		}
		void* host = s.host.atLeast(s.bytes);
		void* address = s.onHost ? host : s.device.atLeast(s.bytes);
		if (!context_->setTensorAddress(name, address)) failAsLogged(WV_DEVICE, "an output's address is refused");
	}
}

}  // namespace wv
