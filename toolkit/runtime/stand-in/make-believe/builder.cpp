// The builder and the parser: a plan is a head, the profiles' ranges, and the model.
#include "common.hpp"

using namespace nvinfer1;
using namespace believe;

namespace {

class Tensor : public ITensor {
public:
	explicit Tensor(wv_tensor const& t) : t_(t) {}
	char const* getName() const override { return t_.name; }
	DataType getType() const override { return typeOf(t_); }
	Dims getDimensions() const override { return dimsOf(t_.rank, t_.dims); }
	char const* getDimensionName(int32_t index) const override {
		return t_.dim_names[index][0] ? t_.dim_names[index] : nullptr;
	}

private:
	wv_tensor t_;
};

class Network : public INetworkDefinition {
public:
	Bytes onnx;
	std::vector<std::unique_ptr<Tensor>> inputs, outputs;
	int32_t getNbInputs() const override { return static_cast<int32_t>(inputs.size()); }
	int32_t getNbOutputs() const override { return static_cast<int32_t>(outputs.size()); }
	ITensor* getInput(int32_t index) const override { return inputs.at(static_cast<size_t>(index)).get(); }
	ITensor* getOutput(int32_t index) const override { return outputs.at(static_cast<size_t>(index)).get(); }
};

class ParserError : public nvonnxparser::IParserError {
public:
	nvonnxparser::ErrorCode which{};
	char text[WV_WHY] = "";
	nvonnxparser::ErrorCode code() const override { return which; }
	char const* desc() const override { return text; }
	int node() const override { return 0; }
};

class Parser : public nvonnxparser::IParser {
public:
	explicit Parser(Network& network) : network_(network) {}
	bool parse(void const* onnx, size_t size, char const*) override {
		session opened;
		int32_t const status = session_open(&opened, onnx, size, nullptr, nullptr, 0, error_.text);
		failed_ = status != WV_OK;
		error_.which = status == WV_UNSUPPORTED ? nvonnxparser::ErrorCode::kUNSUPPORTED_NODE :
			status == WV_MEMORY ? nvonnxparser::ErrorCode::kMEM_ALLOC_FAILED :
			nvonnxparser::ErrorCode::kINVALID_GRAPH;
		if (failed_) return false;
		auto const* from = static_cast<char const*>(onnx);
		network_.onnx.assign(from, from + size);
		for (int32_t i = 0; i < opened.count; ++i)
			(opened.tensors[i].input ? network_.inputs : network_.outputs)
				.push_back(std::make_unique<Tensor>(opened.tensors[i]));
		session_close(&opened);
		return true;
	}
	int getNbErrors() const override { return failed_ ? 1 : 0; }
	nvonnxparser::IParserError const* getError(int) const override { return &error_; }

private:
	Network& network_;
	ParserError error_;
	bool failed_ = false;
};

class Profile : public IOptimizationProfile {
public:
	std::map<std::string, range> ranges;
	bool setDimensions(char const* name, OptProfileSelector which, Dims const& dims) override {
		range& r = ranges[name];
		std::snprintf(r.name, WV_NAME, "%s", name);
		r.rank = dims.nbDims;
		int64_t* into = which == OptProfileSelector::kMIN ? r.min : which == OptProfileSelector::kOPT ? r.opt : r.max;
		for (int32_t i = 0; i < dims.nbDims; ++i) into[i] = dims.d[i];
		// As TensorRT does: bounds that are out of order are refused as soon as they show.
		for (int32_t i = 0; which == OptProfileSelector::kMAX && i < r.rank; ++i)
			if (r.min[i] < 0 || r.min[i] > r.opt[i] || r.opt[i] > r.max[i]) return false;
		return true;
	}
	bool isValid() const override { return true; }
};

class Cache : public ITimingCache {
public:
	explicit Cache(Bytes bytes) : bytes(std::move(bytes)) {}
	Bytes bytes;
	IHostMemory* serialize() const override { return new Memory(bytes); }
};

class Config : public IBuilderConfig {
public:
	bool refit = false;
	bool tf32 = true;  // as TensorRT's is
	std::vector<Profile*> profiles;
	Cache* cache = nullptr;
	void setFlag(BuilderFlag flag) override {
		refit = refit || flag == BuilderFlag::kREFIT;
		tf32 = tf32 || flag == BuilderFlag::kTF32;
	}
	void clearFlag(BuilderFlag flag) override { tf32 = tf32 && flag != BuilderFlag::kTF32; }
	void setMemoryPoolLimit(MemoryPoolType, size_t) override {}
	int32_t addOptimizationProfile(IOptimizationProfile* profile) override {
		profiles.push_back(static_cast<Profile*>(profile));
		return static_cast<int32_t>(profiles.size()) - 1;
	}
	ITimingCache* createTimingCache(void const* data, size_t size) override {
		auto const* from = static_cast<char const*>(data);
		return new Cache(Bytes(from, from + size));
	}
	bool setTimingCache(ITimingCache const& given, bool) override {
		auto& c = const_cast<Cache&>(static_cast<Cache const&>(given));
		if (!c.bytes.empty() && c.bytes[0] != 'T') return false;
		cache = &c;
		return true;
	}
#if NV_TENSORRT_MAJOR >= 10
	IProgressMonitor* monitor = nullptr;
	void setProgressMonitor(IProgressMonitor* given) override { monitor = given; }
	void setBuilderOptimizationLevel(int32_t) override {}
#endif
};

class Builder : public IBuilder {
public:
	explicit Builder(ILogger& logger) : logger_(logger) {}
	INetworkDefinition* createNetworkV2(uint32_t) override { return new Network; }
	IBuilderConfig* createBuilderConfig() override { return new Config; }
	IOptimizationProfile* createOptimizationProfile() override {
		profiles_.push_back(std::make_unique<Profile>());
		return profiles_.back().get();
	}
	IHostMemory* buildSerializedNetwork(INetworkDefinition& network, IBuilderConfig& given) override {
		auto& config = static_cast<Config&>(given);
		auto const& onnx = static_cast<Network&>(network).onnx;
		if (!steps(config)) return nullptr;
		std::vector<range> ranges;
		for (size_t p = 0; p < config.profiles.size(); ++p)
			for (auto& [name, r] : config.profiles[p]->ranges) {
				r.profile = static_cast<int32_t>(p);
				ranges.push_back(r);
			}
		head h{};
		std::memcpy(h.magic, kMagic, sizeof h.magic);
		h.refit = config.refit;
		h.ranges = static_cast<int32_t>(ranges.size());
		h.onnx = onnx.size();
		Bytes plan(sizeof h + ranges.size() * sizeof(range) + onnx.size());
		std::memcpy(plan.data() + sizeof h, ranges.data(), ranges.size() * sizeof(range));
		std::memcpy(plan.data() + plan.size() - onnx.size(), onnx.data(), onnx.size());
		std::memcpy(plan.data(), &h, sizeof h);
		size_t const from = offsetof(head, version);
		h.sum = sum_of(plan.data() + from, plan.size() - from);
		std::memcpy(plan.data(), &h, sizeof h);
		if (config.cache) config.cache->bytes.push_back('T');
		return new Memory(std::move(plan));
	}

private:
	bool steps(Config& config) {
		if (lies("memory-build")) {
			complain(logger_, "Error Code 2: OutOfMemory (no further information)");
			return false;
		}
#if NV_TENSORRT_MAJOR >= 10
		int32_t const count = lies("slow-build") ? STEPS_SLOW : 2;
		config.monitor->phaseStart("Building Engine", nullptr, count);
		for (int32_t step = 0; step < count; ++step) {
			timespec const pause{0, count > 2 ? 10'000'000 : 0};
			nanosleep(&pause, nullptr);
			if (!config.monitor->stepComplete("Building Engine", step)) return false;
		}
		config.monitor->phaseFinish("Building Engine");
#endif
		logger_.log(ILogger::Severity::kINFO, config.tf32 ? "made-believe an engine, TF32 allowed" : "made-believe an engine");
		return true;
	}
	ILogger& logger_;
	std::vector<std::unique_ptr<Profile>> profiles_;
};

}  // namespace

namespace nvinfer1 {
IBuilder* createInferBuilder(ILogger& logger) { return ort_env() ? new Builder(logger) : nullptr; }
}  // namespace nvinfer1

namespace nvonnxparser {
IParser* createParser(INetworkDefinition& network, ILogger&) { return new Parser(static_cast<Network&>(network)); }
}  // namespace nvonnxparser
