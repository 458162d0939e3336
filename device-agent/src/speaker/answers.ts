import { EXIT, type WattvoxError } from "@wattvox/core";
import type { FastifyReply } from "fastify";

/** Answers with an error: its status, and its code and message as OpenAI's API words them. */
export function refuse(reply: FastifyReply, error: WattvoxError): FastifyReply {
	if (error.code === "E_BUSY") reply.header("retry-after", "1");
	return reply.code(statusOf(error)).send(errorBody(error.code, error.message));
}

function statusOf(error: WattvoxError): number {
	if (error.code === "E_BUSY") return 429;
	if (error.code === "E_NO_VOICE") return 503;
	// The text is the caller's; a model that fails is ours.
	if (error.code === "E_MODEL") return 500;
	return error.exit === EXIT.input || error.exit === EXIT.usage ? 400 : 500;
}

/** An error as OpenAI's API words it. */
export function errorBody(code: string, message: string) {
	return { error: { message, type: "invalid_request_error", code } };
}
