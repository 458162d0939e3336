import type { InferenceSession } from "onnxruntime-node";

/**
 * How ONNX Runtime runs training programs. Planning memory ahead (`enableMemPattern`) holds everything
 * at once: without it the peak is a half to two thirds.
 * @param threads of one operator
 */
export const sessionOptions = (
	threads: number,
): InferenceSession.SessionOptions => ({
	intraOpNumThreads: threads,
	interOpNumThreads: 1,
	enableMemPattern: false,
	graphOptimizationLevel: "all",
	logSeverityLevel: 3,
	extra: {
		session: { intra_op: { allow_spinning: threads > 1 ? "1" : "0" } },
	},
});
