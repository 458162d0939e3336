// Engines, contexts and refitters on sessions of ONNX Runtime; CUDA on the processor's memory.
#include <cmath>
#include <cstdlib>

#include "common.hpp"

using namespace nvinfer1;
using namespace believe;

namespace {

struct Put {
	Bytes data;
	OrtValue* value = nullptr;
};

class Engine : public ICudaEngine {
public:
	head h{};
	std::vector<range> ranges;
	Bytes onnx;
	session opened{};
	std::vector<initialiser> weights;
	std::map<std::string, Put> put;
	ILogger& logger;

	explicit Engine(ILogger& logger) : logger(logger) {}
	~Engine() override {
		session_close(&opened);
		for (auto& [name, p] : put)
			if (p.value) ort_release_value(p.value);
	}

	bool open(void const* plan, size_t size) {
		size_t const from = offsetof(head, version);
		auto const* bytes = static_cast<char const*>(plan);
		if (size >= sizeof h) std::memcpy(&h, plan, sizeof h);
		if (std::memcmp(h.magic, kMagic, sizeof h.magic) != 0 || h.sum != sum_of(bytes + from, size - from)) {
			complain(logger, "Serialization assertion failed: this is no engine, or it is damaged");
			return false;
		}
		ranges.resize(static_cast<size_t>(h.ranges));
		std::memcpy(ranges.data(), bytes + sizeof h, ranges.size() * sizeof(range));
		char const* at = bytes + sizeof h + ranges.size() * sizeof(range);
		onnx.assign(at, at + h.onnx);
		weights.resize(64);
		auto const* model = reinterpret_cast<uint8_t const*>(onnx.data());
		weights.resize(static_cast<size_t>(initialisers_of(model, onnx.size(), weights.data(), 64)));
		at += h.onnx;
		for (auto const& w : weights)
			if (h.puts) at = putIn(w, at);
		return openSession();
	}

	/// A value in the place of a weight, as soon as the session is opened anew. @returns where it ends
	char const* putIn(initialiser const& w, char const* from) {
		Put& p = put[w.name];
		if (p.value) ort_release_value(p.value);
		p.data.assign(from, from + w.count * bytes_of(w.dtype));
		value_of(p.data.data(), p.data.size(), w.dims, w.rank, w.dtype, &p.value, nullptr);
		return from + p.data.size();
	}

	bool openSession() {
		std::vector<char const*> names;
		std::vector<OrtValue*> values;
		for (auto& [name, p] : put) names.push_back(name.c_str()), values.push_back(p.value);
		session_close(&opened);
		return session_open(&opened, onnx.data(), onnx.size(), names.data(), values.data(),
			static_cast<int32_t>(names.size()), nullptr) == WV_OK;
	}

	/// With the weights of its refits; either all have been replaced or none.
	IHostMemory* serialize() const override {
		head now = h;
		now.puts = static_cast<int32_t>(put.size());
		Bytes plan(sizeof now);
		auto const add = [&plan](void const* data, size_t size) {
			auto const* from = static_cast<char const*>(data);
			plan.insert(plan.end(), from, from + size);
		};
		add(ranges.data(), ranges.size() * sizeof(range));
		add(onnx.data(), onnx.size());
		for (auto const& w : weights)
			if (now.puts) add(put.at(w.name).data.data(), put.at(w.name).data.size());
		std::memcpy(plan.data(), &now, sizeof now);
		size_t const from = offsetof(head, version);
		now.sum = sum_of(plan.data() + from, plan.size() - from);
		std::memcpy(plan.data(), &now, sizeof now);
		return new Memory(std::move(plan));
	}

	wv_tensor const& tensor(char const* name) const {
		for (int32_t i = 0; i < opened.count; ++i)
			if (std::strcmp(opened.tensors[i].name, name) == 0) return opened.tensors[i];
		std::abort();  // the shim asks for names that it was given
	}

	IExecutionContext* createExecutionContext() override;
	int32_t getNbIOTensors() const override { return opened.count; }
	char const* getIOTensorName(int32_t index) const override { return opened.tensors[index].name; }
	TensorIOMode getTensorIOMode(char const* name) const override {
		return tensor(name).input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
	}
	DataType getTensorDataType(char const* name) const override { return typeOf(tensor(name)); }
	Dims getTensorShape(char const* name) const override { return dimsOf(tensor(name).rank, tensor(name).dims); }
	TensorLocation getTensorLocation(char const*) const override { return TensorLocation::kDEVICE; }
	int32_t getNbOptimizationProfiles() const override {
		int32_t count = 1;
		for (auto const& r : ranges) count = std::max(count, r.profile + 1);
		return count;
	}
	Dims getProfileShape(char const* name, int32_t profile, OptProfileSelector which) const override {
		for (auto const& r : ranges)
			if (r.profile == profile && std::strcmp(r.name, name) == 0)
				return dimsOf(r.rank, which == OptProfileSelector::kMIN ? r.min :
					which == OptProfileSelector::kOPT ? r.opt : r.max);
		// What its header promises: nothing, for an input that no profile has.
		Dims none{};
		none.nbDims = -1;
		return none;
	}
	bool isRefittable() const override { return h.refit; }
};

class Context : public IExecutionContext {
public:
	explicit Context(Engine& engine) : engine_(engine) {}
	~Context() override { drop(); }

	bool setOptimizationProfileAsync(int32_t profile, cudaStream_t) override {
		profile_ = profile;
		return profile < engine_.getNbOptimizationProfiles();
	}
	bool setInputShape(char const* name, Dims const& dims) override {
		Dims const min = engine_.getProfileShape(name, profile_, OptProfileSelector::kMIN);
		Dims const max = engine_.getProfileShape(name, profile_, OptProfileSelector::kMAX);
		for (int32_t i = 0; i < std::min(dims.nbDims, min.nbDims); ++i)
			if (dims.d[i] < min.d[i] || dims.d[i] > max.d[i]) {
				complain(engine_.logger, "setInputShape: a dimension is outside the profile");
				return false;
			}
		shapes_[name] = dims;
		return true;
	}
	bool setTensorAddress(char const* name, void* data) override {
		addresses_[name] = data;
		return data != nullptr;
	}

	// ONNX Runtime knows an output's shape when it has computed it: it runs here, and enqueueV3 hands over.
	int32_t inferShapes(int32_t, char const**) override {
		drop();
		if (lies("no-shapes")) return 1;
		char const *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
		OrtValue* values[MOST_TENSORS] = {};
		std::vector<Bytes> wide;
		size_t given = 0, wanted = 0;
		for (int32_t i = 0; i < engine_.opened.count; ++i) {
			wv_tensor const& t = engine_.opened.tensors[i];
			if (!t.input) outputs[wanted++] = t.name;
			else inputs[given] = t.name, values[given++] = value(t, wide);
		}
		OrtStatus* status = ort_run(engine_.opened.ort, nullptr, inputs, values, given, outputs, wanted, results_);
		for (size_t i = 0; i < given; ++i) ort_release_value(values[i]);
		names_.assign(outputs, outputs + wanted);
		return told(status, WV_DEVICE, nullptr) == WV_OK ? 0 : 1;
	}
	Dims getTensorShape(char const* name) const override {
		OrtTensorInfo* info = nullptr;
		size_t rank = 0;
		int64_t dims[WV_DIMS];
		told(ort_value_info(result(name), &info), WV_INTERNAL, nullptr);
		told(ort_rank(info, &rank), WV_INTERNAL, nullptr);
		told(ort_dims(info, dims, rank), WV_INTERNAL, nullptr);
		ort_release_info(info);
		return dimsOf(static_cast<int32_t>(rank), dims);
	}
	bool enqueueV3(cudaStream_t) override {
		for (auto const& name : names_) {
			wv_tensor const& t = engine_.tensor(name.c_str());
			Dims const dims = getTensorShape(name.c_str());
			uint64_t count = 1;
			for (int32_t i = 0; i < dims.nbDims; ++i) count *= static_cast<uint64_t>(dims.d[i]);
			void* data = nullptr;
			told(ort_data(result(name.c_str()), &data), WV_INTERNAL, nullptr);
			void* to = addresses_.at(name);
			if (t.dtype == WV_INT64 && kNarrow)
				for (uint64_t i = 0; i < count; ++i)
					static_cast<int32_t*>(to)[i] = static_cast<int32_t>(static_cast<int64_t*>(data)[i]);
			else std::memcpy(to, data, count * bytes_of(t.dtype));
			for (uint64_t i = 0; t.dtype == WV_FLOAT32 && lies("nan") && i < count; ++i) static_cast<float*>(to)[i] = NAN;
		}
		drop();
		return true;
	}

private:
	void drop() {
		for (auto*& r : results_) {
			if (r) ort_release_value(r);
			r = nullptr;
		}
	}
	OrtValue* result(char const* name) const {
		for (size_t i = 0; i < names_.size(); ++i)
			if (names_[i] == name) return results_[i];
		std::abort();
	}
	OrtValue* value(wv_tensor const& t, std::vector<Bytes>& wide) {
		Dims const& shape = shapes_.at(t.name);
		int64_t dims[WV_DIMS];
		uint64_t count = 1;
		for (int32_t i = 0; i < shape.nbDims; ++i) count *= static_cast<uint64_t>(dims[i] = shape.d[i]);
		void* data = addresses_.at(t.name);
		if (t.dtype == WV_INT64 && kNarrow) {
			wide.emplace_back(count * 8);
			for (uint64_t i = 0; i < count; ++i)
				reinterpret_cast<int64_t*>(wide.back().data())[i] = static_cast<int32_t*>(data)[i];
			data = wide.back().data();
		}
		OrtValue* made = nullptr;
		value_of(data, count * bytes_of(t.dtype), dims, shape.nbDims, t.dtype, &made, nullptr);
		return made;
	}

	Engine& engine_;
	int32_t profile_ = 0;
	std::map<std::string, Dims> shapes_;
	std::map<std::string, void*> addresses_;
	std::vector<std::string> names_;
	OrtValue* results_[MOST_TENSORS] = {};
};

IExecutionContext* Engine::createExecutionContext() { return new Context(*this); }

/// All weights belong together here, as those that went into one fused layer do.
class Refitter : public IRefitter {
public:
	explicit Refitter(Engine& engine) : engine_(engine) {}
	int32_t getAllWeights(int32_t size, char const** names) override {
		for (int32_t i = 0; i < size; ++i) names[i] = engine_.weights[static_cast<size_t>(i)].name;
		return static_cast<int32_t>(engine_.weights.size());
	}
	int32_t getMissingWeights(int32_t size, char const** names) override {
		int32_t count = 0;
		for (auto const& w : engine_.weights)
			if (!given_.empty() && !given_.count(w.name)) {
				if (count < size) names[count] = w.name;
				++count;
			}
		return count;
	}
	Weights getWeightsPrototype(char const* name) const override {
		for (auto const& w : engine_.weights)
			if (std::strcmp(w.name, name) == 0)
				return {static_cast<DataType>(w.dtype), nullptr, static_cast<int64_t>(w.count)};
		return {DataType::kFLOAT, nullptr, 0};
	}
	bool setNamedWeights(char const* name, Weights weights) override {
		Weights const old = getWeightsPrototype(name);
		if (old.count != weights.count || old.type != weights.type) {
			complain(engine_.logger, std::string("setNamedWeights: \"") + name + "\" has another count or type");
			return false;
		}
		given_[name] = weights;
		return true;
	}
	bool refitCudaEngine() override {
		for (auto const& w : engine_.weights) {
			auto const found = given_.find(w.name);
			if (found == given_.end()) continue;
			engine_.putIn(w, static_cast<char const*>(found->second.values));
		}
		return engine_.openSession();
	}

private:
	Engine& engine_;
	std::map<std::string, Weights> given_;
};

class Runtime : public IRuntime {
public:
	explicit Runtime(ILogger& logger) : logger_(logger) {}
	ICudaEngine* deserializeCudaEngine(void const* plan, size_t size) override {
		auto engine = std::make_unique<Engine>(logger_);
		return engine->open(plan, size) ? engine.release() : nullptr;
	}

private:
	ILogger& logger_;
};

}  // namespace

namespace nvinfer1 {
IRuntime* createInferRuntime(ILogger& logger) { return ort_env() ? new Runtime(logger) : nullptr; }
IRefitter* createInferRefitter(ICudaEngine& engine, ILogger&) { return new Refitter(static_cast<Engine&>(engine)); }
}  // namespace nvinfer1

int32_t getInferLibVersion() { return 1000 * NV_TENSORRT_MAJOR + 100 * NV_TENSORRT_MINOR + NV_TENSORRT_PATCH; }
int32_t getInferLibMajorVersion() { return NV_TENSORRT_MAJOR; }
int32_t getInferLibMinorVersion() { return NV_TENSORRT_MINOR; }
int32_t getInferLibPatchVersion() { return NV_TENSORRT_PATCH; }
int32_t getInferLibBuildVersion() { return 26; }

// The shim has TensorRT's log; these are for model.c alone.
extern "C" void say(int32_t, char const*) {}
extern "C" int32_t refuse(int32_t status, char* why, char const* text) {
	if (why) std::snprintf(why, WV_WHY, "%s", text);
	return status;
}
