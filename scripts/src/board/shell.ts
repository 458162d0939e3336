import type { Duplex } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** How a command ended. */
export interface Done {
	code: number;
	/** Both of its streams, as they came. */
	said: string;
}

/**
 * A shell at the other end of a line. One command at a time; each has a number, which comes back behind
 * what it said, so that the answer to one that was given up is never taken for another's.
 */
export class Shell {
	readonly #line: Duplex;
	#last = 0;
	#busy = false;

	/** @param line the shell reads its commands from it, and writes to it; neither is echoed */
	constructor(line: Duplex) {
		this.#line = line;
		// a failing line closes, which whoever waits for it is told
		line.on("error", () => undefined);
	}

	/**
	 * Runs a command to its end.
	 * @throws Error when the line ends before; the signal's reason, while the command goes on
	 */
	async run(command: string, signal: AbortSignal): Promise<Done> {
		if (this.#busy) throw new Error("a command is under way");
		signal.throwIfAborted();
		this.#busy = true;
		try {
			const mark = `@${++this.#last}-`;
			const text = Buffer.from(command).toString("base64");
			// a shell of its own reads it, so that neither its words nor its `cd` and `exit` reach this one
			const line = `echo ${mark}; sh -c "$(echo ${text} | base64 -d)" </dev/null 2>&1; printf '\\n%s%d\\n' ${mark} $?\n`;
			const said = this.#until(new RegExp(`^${mark}(\\d+)$`, "m"), signal);
			this.#line.write(line);
			const { before, found } = await said;
			const from = before.indexOf(`${mark}\n`) + mark.length + 1;
			return { code: Number(found[1]), said: before.slice(from).trim() };
		} finally {
			this.#busy = false;
		}
	}

	/** Reads until the text holds something. */
	#until(
		what: RegExp,
		signal: AbortSignal,
	): Promise<{ before: string; found: RegExpExecArray }> {
		return new Promise((resolve, reject) => {
			const decoder = new StringDecoder();
			let text = "";
			const stop = () => {
				this.#line.off("data", data).off("close", closed);
				signal.removeEventListener("abort", aborted);
			};
			const data = (bytes: Buffer) => {
				text += decoder.write(bytes);
				const found = what.exec(text);
				if (!found) return;
				stop();
				resolve({ before: text.slice(0, found.index), found });
			};
			const closed = () => {
				stop();
				reject(new Error("the line to the shell ended"));
			};
			const aborted = () => {
				stop();
				reject(signal.reason);
			};
			this.#line.on("data", data).on("close", closed);
			signal.addEventListener("abort", aborted, { once: true });
			if (this.#line.destroyed) closed();
		});
	}
}
