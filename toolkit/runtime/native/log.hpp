// TensorRT's log as a ring that an FFI can poll, and the lines that become a failure's `why`.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>

#include "wattvox_trt.h"

namespace wv {

inline void put(char* into, size_t capacity, char const* text) {
	if (!into) return;
	size_t const n = text ? strnlen(text, capacity - 1) : 0;
	if (n) std::memcpy(into, text, n);
	into[n] = 0;
}

class Log : public nvinfer1::ILogger {
public:
	void log(Severity severity, char const* text) noexcept override {
		// One line per tactic and per layer: nothing that anybody reads, and it would push out the rest.
		if (severity == Severity::kVERBOSE) return;
		std::lock_guard<std::mutex> held(mutex_);
		Line& line = lines_[++newest_ % kLines];
		line.level = static_cast<int32_t>(severity);
		put(line.text, WV_WHY, text);
		if (severity > Severity::kERROR) return;
		put(error_, WV_WHY, text);
		// The only way that TensorRT tells memory from other reasons.
		for (char const* sign : {"out of memory", "OutOfMemory", "outOfMemory", "Out Of Memory", "bad_alloc"})
			if (text && std::strstr(text, sign)) memory_ = true;
	}

	int32_t next(uint64_t after, uint64_t* number, int32_t* level, char* text) {
		std::lock_guard<std::mutex> held(mutex_);
		uint64_t const oldest = newest_ >= kLines ? newest_ - kLines + 1 : 1;
		uint64_t const n = after + 1 > oldest ? after + 1 : oldest;
		if (n > newest_) return WV_PENDING;
		Line const& line = lines_[n % kLines];
		*number = n;
		*level = line.level;
		std::memcpy(text, line.text, WV_WHY);
		return WV_OK;
	}

	/// Forgets what earlier calls complained of.
	void begin() {
		std::lock_guard<std::mutex> held(mutex_);
		memory_ = false;
		error_[0] = 0;
	}

	/// `status`, or WV_MEMORY when that is what TensorRT complained of since `begin`; writes its last
	/// error into `why`, or `otherwise` when it said nothing.
	int32_t blame(int32_t status, char* why, char const* otherwise) {
		std::lock_guard<std::mutex> held(mutex_);
		put(why, WV_WHY, error_[0] ? error_ : otherwise);
		return memory_ ? WV_MEMORY : status;
	}

private:
	static constexpr uint64_t kLines = 256;
	struct Line {
		int32_t level;
		char text[WV_WHY];
	};
	std::mutex mutex_;
	Line lines_[kLines];
	uint64_t newest_ = 0;
	char error_[WV_WHY] = "";
	bool memory_ = false;
};

/// One for the whole process, as TensorRT's own is. Never destroyed: TensorRT logs while it unloads.
inline Log& theLog() {
	static Log* log = new Log;
	return *log;
}

}  // namespace wv
