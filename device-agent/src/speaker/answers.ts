import { EXIT, type WattvoxError } from "@wattvox/core";
import type { FastifyReply } from "fastify";
import type { VoiceChoice } from "./voice-choice.ts";

/**
 * Answers with an error: its status, and its code and message as OpenAI's API words them; where a voice is
 * not known, with those that are.
 */
export function refuse(
	reply: FastifyReply,
	error: WattvoxError,
	voices: VoiceChoice,
): FastifyReply {
	if (error.code === "E_BUSY") reply.header("retry-after", "1");
	return reply.code(statusOf(error)).send({
		...errorBody(error.code, error.message),
		...(error.code === "E_VOICE_UNKNOWN" && { voices: voices.list() }),
	});
}

function statusOf(error: WattvoxError): number {
	if (error.code === "E_BUSY") return 429;
	if (error.code === "E_VOICE_UNKNOWN") return 404;
	if (["E_NO_VOICE", "E_MEMORY", "E_INTERRUPTED"].includes(error.code))
		return 503;
	// The text is the caller's; a model that fails is ours.
	if (error.code === "E_MODEL") return 500;
	return error.exit === EXIT.input || error.exit === EXIT.usage ? 400 : 500;
}

/** An error as OpenAI's API words it. */
export function errorBody(code: string, message: string) {
	return { error: { message, type: "invalid_request_error", code } };
}
