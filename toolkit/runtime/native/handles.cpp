// The C side of engines and runs: handles over the state that they share with the engine's thread.
#include <chrono>

#include "engine.hpp"

using namespace wv;
using Phase = EngineState::Phase;

struct wv_engine {
	std::shared_ptr<EngineState> state;
};
struct wv_run {
	std::shared_ptr<EngineState> state;
};

namespace {

nvinfer1::DataType typeOf(int32_t dtype) {
	switch (dtype) {
		case WV_FLOAT32: return nvinfer1::DataType::kFLOAT;
		case WV_FLOAT16: return nvinfer1::DataType::kHALF;
		case WV_INT8: return nvinfer1::DataType::kINT8;
		case WV_INT32: return nvinfer1::DataType::kINT32;
#if NV_TENSORRT_MAJOR >= 10
		case WV_INT64: return nvinfer1::DataType::kINT64;
#endif
		default: fail(WV_REFIT, "weights of this type cannot be refitted");
	}
}

void copyDims(nvinfer1::Dims const& from, int64_t* to) {
	for (int32_t i = 0; i < from.nbDims; ++i) to[i] = from.d[i];
}

}  // namespace

extern "C" {

int32_t wv_engine_open(wv_runtime* runtime, void const* plan, uint64_t size, wv_engine** out, char* why) {
	return guardedAside(why, [&] {
		require(runtime && plan && out, "no runtime, no plan, or no place for the engine");
		auto state = std::make_shared<EngineState>(runtime->runtime, plan, size);
		auto handle = std::make_unique<wv_engine>();
		handle->state = state;
		std::thread(EngineState::serve, state).detach();
		*out = handle.release();
	});
}

void wv_engine_close(wv_engine* engine) {
	if (!engine) return;
	{
		std::lock_guard<std::mutex> held(engine->state->mutex);
		engine->state->closing = true;
		engine->state->changed.notify_all();
	}
	delete engine;
}

int32_t wv_engine_tensor(wv_engine* engine, int32_t index, wv_tensor* out) {
	return guarded(nullptr, [&] {
		require(engine && out, "no engine");
		*out = engine->state->slot(index).described;
	});
}

int32_t wv_engine_range(wv_engine* engine, int32_t index, int32_t profile, int64_t* min, int64_t* opt, int64_t* max) {
	return guarded(nullptr, [&] {
		require(engine && min && opt && max, "no engine");
		Slot const& s = engine->state->slot(index);
		require(profile >= 0 && static_cast<size_t>(profile) < s.min.size(), "no such profile");
		copyDims(s.min[static_cast<size_t>(profile)], min);
		copyDims(s.opt[static_cast<size_t>(profile)], opt);
		copyDims(s.max[static_cast<size_t>(profile)], max);
	});
}

int32_t wv_engine_weight(wv_engine* engine, int32_t index, char* name) {
	return guarded(nullptr, [&] {
		require(engine && name && index >= 0, "no engine");
		auto const& weights = engine->state->weights;
		require(static_cast<size_t>(index) < weights.size(), "no such weight");
		put(name, WV_NAME, weights[static_cast<size_t>(index)].c_str());
	});
}

int32_t wv_engine_weight_set(wv_engine* engine, char const* name, int32_t dtype, void const* data, uint64_t count,
	char* why) {
	return guarded(why, [&] {
		require(engine && name && (data || !count), "no engine, or no weight");
		auto const* from = static_cast<char const*>(data);
		Weight weight{name, typeOf(dtype), {}, static_cast<int64_t>(count)};
		weight.data.assign(from, from + count * bytesOf(dtype));
		engine->state->pending.push_back(std::move(weight));
	});
}

int32_t wv_engine_refit(wv_engine* engine, char* why) {
	return guardedAside(why, [&] {
		require(engine, "no engine");
		EngineState& state = *engine->state;
		std::unique_lock<std::mutex> held(state.mutex);
		if (state.phase == Phase::kRunning) fail(WV_BUSY, "a run is under way");
		// Freed whether the refit goes well or not: TensorRT reads them until it returns.
		std::vector<Weight> const weights = std::move(state.pending);
		state.pending.clear();
		state.refit(weights);
	});
}

int32_t wv_engine_serialize(wv_engine* engine, uint64_t* size, char* why) {
	return guardedAside(why, [&] {
		require(engine && size, "no engine, or no place for the size");
		EngineState& state = *engine->state;
		std::unique_lock<std::mutex> held(state.mutex);
		if (state.phase == Phase::kRunning) fail(WV_BUSY, "a run is under way");
		state.serialize();
		*size = state.serialized->size();
	});
}

int32_t wv_engine_take(wv_engine* engine, void* into, uint64_t size) {
	return guarded(nullptr, [&] {
		require(engine && into, "no engine, or no place for its bytes");
		EngineState& state = *engine->state;
		std::unique_lock<std::mutex> held(state.mutex);
		require(state.serialized && state.serialized->size() == size, "nothing was serialised, or of another size");
		std::memcpy(into, state.serialized->data(), size);
		state.serialized.reset();
	});
}

int32_t wv_run_open(wv_engine* engine, wv_run** out, char* why) {
	return guarded(why, [&] {
		require(engine && out, "no engine, or no place for the run");
		EngineState& state = *engine->state;
		std::lock_guard<std::mutex> held(state.mutex);
		if (state.phase != Phase::kFree) fail(WV_BUSY, "the engine has a run already");
		auto run = std::make_unique<wv_run>();
		run->state = engine->state;
		for (Slot& s : state.slots) s.fed = false;
		state.phase = Phase::kFeeding;
		*out = run.release();
	});
}

void wv_run_close(wv_run* run) {
	if (!run) return;
	{
		std::lock_guard<std::mutex> held(run->state->mutex);
		if (run->state->phase == Phase::kRunning) run->state->abandoned = true;
		else run->state->phase = Phase::kFree;
	}
	delete run;
}

int32_t wv_run_feed(wv_run* run, int32_t index, int32_t rank, int64_t const* dims, void const* data, uint64_t bytes,
	char* why) {
	return guarded(why, [&] {
		require(run && (dims || !rank) && (data || !bytes), "no run, or no data");
		require(run->state->phase == Phase::kFeeding, "the run has started");
		Slot& s = run->state->slot(index);
		require(s.described.input, "an output cannot be fed");
		require(rank == s.described.rank, "the input has another rank");
		uint64_t needs = bytesOf(s.described.dtype);
		nvinfer1::Dims shape{};
		shape.nbDims = rank;
		for (int32_t i = 0; i < rank; ++i) {
			require(dims[i] >= 0 && dims[i] <= INT32_MAX, "a dimension out of range");
			shape.d[i] = static_cast<std::remove_reference_t<decltype(shape.d[0])>>(dims[i]);
			needs *= static_cast<uint64_t>(dims[i]);
		}
		require(needs == bytes, "the data has another size than its shape");
		void* into = s.host.atLeast(bytes);
		if (bytes) std::memcpy(into, data, bytes);
		s.dims = shape;
		s.bytes = bytes;
		s.fed = true;
	});
}

int32_t wv_run_start(wv_run* run, char* why) {
	return guarded(why, [&] {
		require(run, "no run");
		EngineState& state = *run->state;
		for (Slot const& s : state.slots)
			if (s.described.input && !s.fed)
				fail(WV_ARGUMENT, std::string("input \"") + s.described.name + "\" is missing");
		std::lock_guard<std::mutex> held(state.mutex);
		require(state.phase == Phase::kFeeding && !state.closing, "the run has started, or the engine is closed");
		state.phase = Phase::kRunning;
		state.changed.notify_all();
	});
}

int32_t wv_run_wait(wv_run* run, int32_t milliseconds, char* why) {
	if (!run) return WV_ARGUMENT;
	EngineState& state = *run->state;
	std::unique_lock<std::mutex> held(state.mutex);
	if (state.phase == Phase::kFeeding) return WV_ARGUMENT;
	bool const done = state.changed.wait_for(held, std::chrono::milliseconds(milliseconds),
		[&] { return state.phase == Phase::kDone; });
	if (!done) return WV_PENDING;
	put(why, WV_WHY, state.why);
	return state.status;
}

int32_t wv_run_shape(wv_run* run, int32_t index, int32_t* rank, int64_t* dims, uint64_t* bytes) {
	return guarded(nullptr, [&] {
		require(run && rank && dims && bytes, "no run");
		EngineState& state = *run->state;
		std::lock_guard<std::mutex> held(state.mutex);
		require(state.phase == Phase::kDone && state.status == WV_OK, "the run has no results");
		Slot const& s = state.slot(index);
		*rank = s.dims.nbDims;
		copyDims(s.dims, dims);
		*bytes = s.bytes;
	});
}

int32_t wv_run_read(wv_run* run, int32_t index, void* into, uint64_t bytes) {
	return guarded(nullptr, [&] {
		require(run && (into || !bytes), "no run");
		EngineState& state = *run->state;
		std::lock_guard<std::mutex> held(state.mutex);
		require(state.phase == Phase::kDone && state.status == WV_OK, "the run has no results");
		Slot const& s = state.slot(index);
		require(s.bytes == bytes, "the result has another size");
		if (bytes) std::memcpy(into, s.host.data(), bytes);
	});
}

}  // extern "C"
