import { spawn } from "node:child_process";
import { WattvoxError } from "@wattvox/core";

export interface ExecuteOptions {
	/** What the program reads on its standard input. */
	input?: string | Uint8Array;
	signal?: AbortSignal | undefined;
}

/**
 * Runs a program (argv, never a shell) and returns what it wrote on its standard output.
 * @throws WattvoxError E_FILE_MISSING when the program is not installed, E_BUG when it fails,
 * and the signal's reason when aborted
 */
export function execute(
	program: string,
	args: readonly string[],
	options: ExecuteOptions = {},
): Promise<Buffer> {
	const { signal, input } = options;
	return new Promise((resolve, reject) => {
		signal?.throwIfAborted();
		const child = spawn(program, args, {
			stdio: ["pipe", "pipe", "pipe"],
			...(signal ? { signal } : {}),
		});
		const out: Buffer[] = [];
		const err: Buffer[] = [];
		child.stdout.on("data", (d: Buffer) => out.push(d));
		child.stderr.on("data", (d: Buffer) => err.push(d));
		// A program that ends before reading its input is judged by its exit status.
		child.stdin.on("error", () => undefined);
		child.stdin.end(input);
		child.on("error", (thrown: NodeJS.ErrnoException) => {
			if (signal?.aborted) return reject(signal.reason);
			reject(
				thrown.code === "ENOENT"
					? new WattvoxError(
							"E_FILE_MISSING",
							`the program ${program} is not installed`,
							{ cause: thrown },
						)
					: thrown,
			);
		});
		child.on("close", (code, killed) => {
			if (signal?.aborted) return reject(signal.reason);
			if (code === 0) return resolve(Buffer.concat(out));
			const said = Buffer.concat(err).toString("utf8").trim().slice(-300);
			reject(
				new WattvoxError(
					"E_BUG",
					`${program} ended with ${killed ?? code}: ${said}`,
				),
			);
		});
	});
}

/** True when the program can be run: looks for it in PATH by asking it for its version. */
export async function installed(program: string): Promise<boolean> {
	try {
		await execute(program, ["--version"]);
		return true;
	} catch (thrown) {
		return !(
			thrown instanceof WattvoxError && thrown.code === "E_FILE_MISSING"
		);
	}
}
