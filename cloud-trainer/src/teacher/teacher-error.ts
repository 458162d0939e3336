import { WattvoxError } from "@wattvox/core";

/** Why a teacher did not speak. */
export type TeacherFailure =
	/** No connection, or no answer in time. */
	| "unreachable"
	/** A status that is no success. */
	| "refused"
	/** Success, and no sound. */
	| "garbage"
	/** Success, and sound in another format than was asked for. */
	| "format";

/** A sentence that a teacher did not speak. */
export class TeacherError extends WattvoxError {
	readonly why: TeacherFailure;
	/** The server's status where it gave one that is no success. */
	readonly status: number | undefined;
	/** How long the server wants to be left alone. */
	readonly retryAfterMs: number | undefined;

	constructor(
		why: TeacherFailure,
		message: string,
		rest: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
	) {
		super("E_TEACHER", message, { cause: rest.cause });
		this.why = why;
		this.status = rest.status;
		this.retryAfterMs = rest.retryAfterMs;
	}

	/** Whether the same request may succeed later. */
	get passing(): boolean {
		const { status = 0 } = this;
		return (
			this.why === "unreachable" ||
			this.why === "garbage" ||
			status >= 500 ||
			[408, 409, 425, 429].includes(status)
		);
	}

	/** Whether no other sentence can fare better: wrong address, key, method or format. */
	get hopeless(): boolean {
		return (
			this.why === "unreachable" ||
			this.why === "format" ||
			[401, 402, 403, 404, 405, 407].includes(this.status ?? 0)
		);
	}
}
