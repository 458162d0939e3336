// An ONNX model becomes a plan.
#include <NvOnnxParser.h>

#include <atomic>
#include <vector>

#include "common.hpp"

using namespace wv;
using nvinfer1::Dims;
using nvinfer1::OptProfileSelector;

namespace {

/// Where the builder is, written by its threads and read by the FFI's.
class Progress
#if NV_TENSORRT_MAJOR >= 10
	: public nvinfer1::IProgressMonitor
#endif
{
public:
	std::atomic<bool> cancelled{false};

	void at(char const* phase, int32_t step, int32_t steps) {
		std::lock_guard<std::mutex> held(mutex_);
		put(now_.phase, WV_NAME, phase);
		now_.step = step;
		now_.steps = steps;
	}

	wv_progress now() {
		std::lock_guard<std::mutex> held(mutex_);
		return now_;
	}

#if NV_TENSORRT_MAJOR >= 10
	void phaseStart(char const* phase, char const*, int32_t steps) noexcept override { at(phase, 0, steps); }
	bool stepComplete(char const* phase, int32_t step) noexcept override {
		std::lock_guard<std::mutex> held(mutex_);
		// Phases nest: a step of the outer one is not a step of the inner one that is shown.
		if (std::strncmp(now_.phase, phase, WV_NAME - 1) == 0) now_.step = step + 1;
		return !cancelled;
	}
	void phaseFinish(char const*) noexcept override {}
#endif

private:
	std::mutex mutex_;
	wv_progress now_{};
};

Dims dimsOf(int32_t rank, int64_t const* from) {
	Dims dims{};
	dims.nbDims = rank;
	for (int32_t i = 0; i < rank; ++i) dims.d[i] = static_cast<std::remove_reference_t<decltype(dims.d[0])>>(from[i]);
	return dims;
}

bool isUnsupported(nvonnxparser::ErrorCode code) {
	// kUNSUPPORTED_GRAPH, kUNSUPPORTED_NODE and the finer ones that 10.x put behind them; kREFIT_FAILED
	// is beyond them and does not come from parsing.
	return static_cast<int>(code) >= static_cast<int>(nvonnxparser::ErrorCode::kUNSUPPORTED_GRAPH);
}

}  // namespace

struct wv_build {
	std::shared_ptr<nvinfer1::IRuntime> runtime;
	// Destroyed in the reverse order, as TensorRT asks: what a builder made goes before the builder.
	Progress progress;
	std::unique_ptr<nvinfer1::IBuilder> builder;
	std::unique_ptr<nvinfer1::INetworkDefinition> network;
	std::unique_ptr<nvinfer1::IBuilderConfig> config;
	std::unique_ptr<nvonnxparser::IParser> parser;
	std::unique_ptr<nvinfer1::ITimingCache> cache;
	std::vector<nvinfer1::IOptimizationProfile*> profiles;  // the builder owns them
	std::vector<char> cacheIn;
	std::unique_ptr<nvinfer1::IHostMemory> results[2];
	bool parsed = false;
	bool ran = false;
};

extern "C" {

int32_t wv_build_open(wv_runtime* runtime, wv_build** out, char* why) {
	return guardedAside(why, [&] {
		require(runtime && out, "no runtime, or no place for the build");
		auto build = std::make_unique<wv_build>();
		build->runtime = runtime->runtime;
		theLog().begin();
		build->builder.reset(nvinfer1::createInferBuilder(theLog()));
		if (!build->builder) failAsLogged(WV_BUILD, "there is no builder");
#if NV_TENSORRT_MAJOR >= 10
		uint32_t const flags = 0;
#else
		uint32_t const flags = 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kEXPLICIT_BATCH);
#endif
		build->network.reset(build->builder->createNetworkV2(flags));
		build->config.reset(build->builder->createBuilderConfig());
		if (!build->network || !build->config) failAsLogged(WV_BUILD, "the builder has no network");
		build->parser.reset(nvonnxparser::createParser(*build->network, theLog()));
		if (!build->parser) failAsLogged(WV_BUILD, "there is no ONNX parser");
		// TensorRT's default, where the GPU has it: products of numbers that were rounded to 11 bits. Who asked for
		// no lower precision gets none.
		build->config->clearFlag(nvinfer1::BuilderFlag::kTF32);
#if NV_TENSORRT_MAJOR >= 10
		build->config->setProgressMonitor(&build->progress);
#endif
		*out = build.release();
	});
}

void wv_build_close(wv_build* build) { delete build; }

int32_t wv_build_parse(wv_build* build, void const* onnx, uint64_t size, char const* path, char* why) {
	return guardedAside(why, [&] {
		require(build && onnx && !build->parsed, "no build, no model, or a model already");
		build->progress.at("parse", 0, 0);
		theLog().begin();
		bool const parsed = build->parser->parse(onnx, size, path);
		if (!parsed || build->parser->getNbErrors() > 0) {
			if (build->parser->getNbErrors() == 0) failAsLogged(WV_MODEL, "the model cannot be parsed");
			auto const* error = build->parser->getError(0);
			std::string const text = "node " + std::to_string(error->node()) + ": " + error->desc();
			if (error->code() == nvonnxparser::ErrorCode::kMEM_ALLOC_FAILED) fail(WV_MEMORY, text);
			fail(isUnsupported(error->code()) ? WV_UNSUPPORTED : WV_MODEL, text);
		}
		build->parsed = true;
	});
}

int32_t wv_build_tensor(wv_build* build, int32_t index, wv_tensor* out) {
	return guarded(nullptr, [&] {
		require(build && out && build->parsed && index >= 0, "no parsed model");
		int32_t const inputs = build->network->getNbInputs();
		require(index < inputs + build->network->getNbOutputs(), "no such tensor");
		bool const input = index < inputs;
		auto* t = input ? build->network->getInput(index) : build->network->getOutput(index - inputs);
		wv_tensor described;
		describe(described, t->getName(), input, t->getType(), t->getDimensions());
		for (int32_t i = 0; i < described.rank && i < WV_DIMS; ++i)
			put(described.dim_names[i], WV_DIM_NAME, t->getDimensionName(i));
		*out = described;
	});
}

int32_t wv_build_set(wv_build* build, int32_t option, int64_t value, char* why) {
	return guarded(why, [&] {
		require(build && !build->ran, "no build, or it has run");
		auto& config = *build->config;
		switch (option) {
			case WV_OPTION_FP16:
			case WV_OPTION_BF16:
				if (!value) return;
#if NV_TENSORRT_MAJOR >= 11
				fail(WV_UNSUPPORTED, "this TensorRT takes the precision from the model");
#elif NV_TENSORRT_MAJOR >= 10
				config.setFlag(option == WV_OPTION_FP16 ? nvinfer1::BuilderFlag::kFP16 : nvinfer1::BuilderFlag::kBF16);
#else
				if (option == WV_OPTION_BF16) fail(WV_UNSUPPORTED, "bf16 needs TensorRT 10");
				config.setFlag(nvinfer1::BuilderFlag::kFP16);
#endif
				config.setFlag(nvinfer1::BuilderFlag::kTF32);
				return;
			case WV_OPTION_REFIT:
				if (value) config.setFlag(nvinfer1::BuilderFlag::kREFIT);
				return;
			case WV_OPTION_WORKSPACE:
				require(value > 0, "a workspace needs bytes");
				config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, static_cast<size_t>(value));
				return;
			case WV_OPTION_LEVEL:
				require(value >= 0 && value <= 5, "the level is 0 to 5");
#if NV_TENSORRT_MAJOR >= 10 || (NV_TENSORRT_MAJOR == 8 && NV_TENSORRT_MINOR >= 6)
				config.setBuilderOptimizationLevel(static_cast<int32_t>(value));
				return;
#else
				fail(WV_UNSUPPORTED, "optimisation levels need TensorRT 8.6");
#endif
			default: fail(WV_ARGUMENT, "no such option");
		}
	});
}

int32_t wv_build_range(wv_build* build, int32_t profile, char const* input, int32_t rank, int64_t const* min,
	int64_t const* opt, int64_t const* max, char* why) {
	return guarded(why, [&] {
		require(build && input && min && opt && max && build->parsed && !build->ran, "no parsed model, or no range");
		require(rank >= 0 && rank <= WV_DIMS, "a rank of 0 to 8");
		auto& profiles = build->profiles;
		require(profile >= 0 && static_cast<size_t>(profile) <= profiles.size(), "profiles are begun in order");
		if (static_cast<size_t>(profile) == profiles.size()) {
			auto* made = build->builder->createOptimizationProfile();
			if (!made) fail(WV_BUILD, "no profile can be made");
			profiles.push_back(made);
		}
		auto* p = profiles[static_cast<size_t>(profile)];
		bool const set = p->setDimensions(input, OptProfileSelector::kMIN, dimsOf(rank, min)) &&
			p->setDimensions(input, OptProfileSelector::kOPT, dimsOf(rank, opt)) &&
			p->setDimensions(input, OptProfileSelector::kMAX, dimsOf(rank, max));
		if (!set) fail(WV_MODEL, std::string("input \"") + input + "\" refuses these bounds");
	});
}

int32_t wv_build_cache(wv_build* build, void const* data, uint64_t size, char* why) {
	return guarded(why, [&] {
		require(build && (data || !size) && !build->ran, "no build, or it has run");
		auto const* from = static_cast<char const*>(data);
		build->cacheIn.assign(from, from + size);
	});
}

int32_t wv_build_run(wv_build* build, char* why) {
	return guardedAside(why, [&] {
		require(build && build->parsed && !build->ran, "no parsed model, or it has run");
		build->ran = true;
		for (int32_t i = 0; build->profiles.empty() && i < build->network->getNbInputs(); ++i) {
			Dims const dims = build->network->getInput(i)->getDimensions();
			for (int32_t d = 0; d < dims.nbDims; ++d)
				if (dims.d[d] < 0) fail(WV_MODEL, "the model has free dimensions and no profile bounds them");
		}
		for (auto* profile : build->profiles)
			if (!profile->isValid() || build->config->addOptimizationProfile(profile) < 0)
				fail(WV_MODEL, "a profile does not cover every free input, or its bounds are out of order");
		theLog().begin();
		build->cache.reset(build->config->createTimingCache(build->cacheIn.data(), build->cacheIn.size()));
		if (!build->cache || !build->config->setTimingCache(*build->cache, false)) {
			theLog().log(nvinfer1::ILogger::Severity::kWARNING, "the timing cache does not fit and is ignored");
			build->cache.reset(build->config->createTimingCache(nullptr, 0));
			if (build->cache) build->config->setTimingCache(*build->cache, false);
		}
		build->progress.at("build", 0, 0);
		theLog().begin();
		build->results[WV_PLAN].reset(build->builder->buildSerializedNetwork(*build->network, *build->config));
		if (build->progress.cancelled) fail(WV_CANCELLED, "the build was cancelled");
		if (!build->results[WV_PLAN]) failAsLogged(WV_BUILD, "the builder gave no engine and no reason");
		if (build->cache) build->results[WV_TIMING_CACHE].reset(build->cache->serialize());
		build->progress.at("done", 0, 0);
	});
}

int32_t wv_build_progress(wv_build* build, wv_progress* out) {
	if (!build || !out) return WV_ARGUMENT;
	*out = build->progress.now();
	return WV_OK;
}

void wv_build_cancel(wv_build* build) {
	if (build) build->progress.cancelled = true;
}

int32_t wv_build_size(wv_build* build, int32_t result, uint64_t* out) {
	if (!build || !out || result < 0 || result > 1 || !build->results[WV_PLAN]) return WV_ARGUMENT;
	*out = build->results[result] ? build->results[result]->size() : 0;
	return WV_OK;
}

int32_t wv_build_read(wv_build* build, int32_t result, void* into, uint64_t size) {
	uint64_t has = 0;
	if (wv_build_size(build, result, &has) != WV_OK || has != size || (size && !into)) return WV_ARGUMENT;
	if (size) std::memcpy(into, build->results[result]->data(), size);
	return WV_OK;
}

}  // extern "C"
