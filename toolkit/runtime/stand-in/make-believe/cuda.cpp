// CUDA's runtime on the processor's memory: streams are never behind.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

extern "C" int lies(char const* word);

namespace {
cudaError_t take(void** pointer, size_t bytes) {
	*pointer = lies("memory-device") ? nullptr : std::malloc(bytes);
	return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t give(void* pointer) {
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
cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
	std::memcpy(to, from, bytes);
	return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
	*stream = reinterpret_cast<cudaStream_t>(stream);
	return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
