// As much of TensorRT's ONNX parser as the shim calls; see NvInferRuntime.h.
#pragma once

#include "NvInfer.h"

namespace nvonnxparser {

enum class ErrorCode : int {
	kSUCCESS,
	kINTERNAL_ERROR,
	kMEM_ALLOC_FAILED,
	kMODEL_DESERIALIZE_FAILED,
	kINVALID_VALUE,
	kINVALID_GRAPH,
	kINVALID_NODE,
	kUNSUPPORTED_GRAPH,
	kUNSUPPORTED_NODE
};

class IParserError {
public:
	virtual ~IParserError() = default;
	virtual ErrorCode code() const = 0;
	virtual char const* desc() const = 0;
	virtual int node() const = 0;
};

class IParser {
public:
	virtual ~IParser() = default;
	virtual bool parse(void const* onnx, size_t size, char const* path) = 0;
	virtual int getNbErrors() const = 0;
	virtual IParserError const* getError(int index) const = 0;
};

IParser* createParser(nvinfer1::INetworkDefinition& network, nvinfer1::ILogger& logger);

}  // namespace nvonnxparser
