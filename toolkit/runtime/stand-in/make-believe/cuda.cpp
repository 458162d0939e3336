// CUDA's runtime on the processor's memory, as strict as a real one may be: what a copy has to do with may not
// be freed before its stream was waited for, and results are there only then.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

extern "C" int lies(char const* word);

namespace {
struct Copy {
	cudaStream_t stream;
	void* to;
	void const* from;
	size_t bytes;
	cudaMemcpyKind kind;
};
std::mutex mutex;
std::vector<Copy> under_way;
bool sleeps = false;

cudaError_t take(void** pointer, size_t bytes) {
	*pointer = lies("memory-device") ? nullptr : std::malloc(bytes);
	return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t give(void* pointer) {
	std::lock_guard<std::mutex> held(mutex);
	for (auto const& c : under_way)
		if (pointer == c.to || pointer == c.from) {
			std::fputs("make-believe: memory is freed while a copy is under way\n", stderr);
			std::abort();
		}
	std::free(pointer);
	return cudaSuccess;
}
}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
	*count = lies("no-device") ? 0 : 1;
	return *count ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaGetDevice(int* device) {
	*device = 0;
	return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
	std::strcpy(properties->name, "make-believe (ONNX Runtime on the processor)");
	properties->totalGlobalMem = size_t{8} << 30;
	properties->major = 8;
	properties->minor = 7;
	properties->multiProcessorCount = 8;
	return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
	*version = 12060;
	return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }
cudaError_t cudaGetLastError() { return cudaSuccess; }
char const* cudaGetErrorString(cudaError_t error) {
	return error == cudaErrorMemoryAllocation ? "out of memory" :
		error == cudaErrorNoDevice ? "no CUDA device is detected" : "no error";
}
cudaError_t cudaMalloc(void** pointer, size_t bytes) { return take(pointer, bytes); }
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return take(pointer, bytes); }
cudaError_t cudaFree(void* pointer) { return give(pointer); }
cudaError_t cudaFreeHost(void* pointer) { return give(pointer); }
cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
	std::lock_guard<std::mutex> held(mutex);
	// What goes to the device is there at once: the model runs before it is enqueued, see inferShapes.
	if (kind == cudaMemcpyHostToDevice) std::memcpy(to, from, bytes);
	under_way.push_back({stream, to, from, bytes, kind});
	return cudaSuccess;
}
cudaError_t cudaSetDeviceFlags(unsigned flags) {
	sleeps = flags == cudaDeviceScheduleBlockingSync;
	return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
	*stream = reinterpret_cast<cudaStream_t>(stream);
	// a device that has no core to spare for threads that spin
	return sleeps ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
	std::lock_guard<std::mutex> held(mutex);
	std::vector<Copy> others;
	for (auto const& c : under_way)
		if (c.stream != stream) others.push_back(c);
		else if (c.kind == cudaMemcpyDeviceToHost) std::memcpy(c.to, c.from, c.bytes);
	under_way = others;
	return cudaSuccess;
}
