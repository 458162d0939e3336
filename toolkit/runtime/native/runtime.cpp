// The library itself, its log, and where it runs.
#include "common.hpp"

using namespace wv;

extern "C" {

int32_t wv_abi(void) { return WV_ABI; }

int32_t wv_log(uint64_t after, uint64_t* number, int32_t* level, char* text) {
	if (!number || !level || !text) return WV_ARGUMENT;
	return theLog().next(after, number, level, text);
}

int32_t wv_runtime_open(wv_runtime** out, char* why) {
	return guardedAside(why, [&] {
		require(out, "no place for the runtime");
		int devices = 0;
		cuda(cudaGetDeviceCount(&devices), "looking for CUDA devices");
		if (devices < 1) fail(WV_DEVICE, "there is no CUDA device");
		// A thread that waits for the GPU sleeps: CUDA's own choice may spin on a core, which costs energy and
		// takes that core from the rest of the voice. Where it cannot be chosen any more it stays as it is.
		if (cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync) != cudaSuccess) cudaGetLastError();
		theLog().begin();
		std::shared_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(theLog()));
		if (!runtime) failAsLogged(WV_DEVICE, "TensorRT does not start");
		*out = new wv_runtime{std::move(runtime)};
	});
}

void wv_runtime_close(wv_runtime* runtime) { delete runtime; }

int32_t wv_runtime_facts(wv_runtime* runtime, wv_facts* out, char* why) {
	return guardedAside(why, [&] {
		require(runtime && out, "no runtime, or no place for its facts");
		wv_facts facts{};
#if NV_TENSORRT_MAJOR >= 10
		facts.library[0] = getInferLibMajorVersion();
		facts.library[1] = getInferLibMinorVersion();
		facts.library[2] = getInferLibPatchVersion();
		facts.library[3] = getInferLibBuildVersion();
#else
		int32_t const version = getInferLibVersion();  // 1000 * major + 100 * minor + patch
		facts.library[0] = version / 1000;
		facts.library[1] = version / 100 % 10;
		facts.library[2] = version % 100;
		facts.library[3] = -1;
#endif
		facts.headers[0] = NV_TENSORRT_MAJOR;
		facts.headers[1] = NV_TENSORRT_MINOR;
		facts.headers[2] = NV_TENSORRT_PATCH;
		int device = 0;
		cuda(cudaGetDevice(&device), "asking for the device");
		cuda(cudaRuntimeGetVersion(&facts.cuda), "asking for CUDA's version");
		cuda(cudaDriverGetVersion(&facts.driver), "asking for the driver's version");
		cudaDeviceProp properties{};
		cuda(cudaGetDeviceProperties(&properties, device), "asking what the device is");
		facts.capability[0] = properties.major;
		facts.capability[1] = properties.minor;
		facts.multiprocessors = properties.multiProcessorCount;
		facts.memory = static_cast<int64_t>(properties.totalGlobalMem);
		put(facts.device, WV_NAME, properties.name);
		*out = facts;
	});
}

}  // extern "C"
