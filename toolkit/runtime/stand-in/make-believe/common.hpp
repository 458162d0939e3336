// What the make-believe TensorRT's parts share.
#pragma once

#include <NvOnnxParser.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

extern "C" {
#include "../stand-in.h"
}

namespace believe {

using Bytes = std::vector<char>;

constexpr bool kNarrow = NV_TENSORRT_MAJOR < 10;

/// Before version 10 the parser reads int64 as int32.
inline nvinfer1::DataType typeOf(wv_tensor const& t) {
	if (t.dtype == WV_INT64) return kNarrow ? nvinfer1::DataType::kINT32 : nvinfer1::DataType::kINT64;
	return static_cast<nvinfer1::DataType>(t.dtype);  // the other numbers are the same
}

inline nvinfer1::Dims dimsOf(int32_t rank, int64_t const* from) {
	nvinfer1::Dims dims{};
	dims.nbDims = rank;
	for (int32_t i = 0; i < rank; ++i) dims.d[i] = from[i];
	return dims;
}

class Memory : public nvinfer1::IHostMemory {
public:
	explicit Memory(Bytes bytes) : bytes_(std::move(bytes)) {}
	void* data() const override { return const_cast<char*>(bytes_.data()); }
	size_t size() const override { return bytes_.size(); }

private:
	Bytes bytes_;
};

inline void complain(nvinfer1::ILogger& logger, std::string const& text) {
	logger.log(nvinfer1::ILogger::Severity::kERROR, text.c_str());
}

constexpr char kMagic[16] = "MAKE-BELIEVE";

}  // namespace believe
