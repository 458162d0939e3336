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
	const status = statusOf(error);
	return reply.code(status).send({
		...errorBody(error.code, error.message, status, error.help),
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

/** An error as OpenAI's API words it, and beside it what to do where the error's table says. */
export function errorBody(
	code: string,
	message: string,
	status: number,
	help?: string,
) {
	const type =
		status === 429
			? "rate_limit_error"
			: status >= 500
				? "server_error"
				: "invalid_request_error";
	return { error: { message, type, code, ...(help && { help }) } };
}
