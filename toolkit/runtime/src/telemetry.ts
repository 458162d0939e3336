/**
 * Keeps ONNX Runtime from reporting home: its npm binary for Linux, as released, writes a device id and
 * a queue of usage events into the user's cache folder and uploads them. The variable is a full opt-out
 * when it is set before the library loads (https://github.com/microsoft/onnxruntime/pull/27379).
 *
 * Call it on the main thread before a worker loads ONNX Runtime: a worker's `process.env` is a copy that
 * native code does not see. A choice that the user made stays.
 */
export function noTelemetry(): void {
	process.env.ORT_DISABLE_TELEMETRY ??= "1";
}
