import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { WattvoxError } from "@wattvox/core";
import { askServer, type PowerTable } from "@wattvox/fleet";
import { type ProcessFacts, processFacts } from "./processes.ts";

const PROGRAM = fileURLToPath(
	new URL("../../../toolkit/cli/dist/main.js", import.meta.url),
);

/** `wattvox fleet serve`, a process of its own as its users start it. */
export class ServedFleet {
	/** Where devices connect. */
	readonly url: string;
	/** Of the process, every half minute, bytes: a leak shows as a climb. */
	readonly memory: number[] = [];
	/** What it told on standard error, line by line. */
	readonly told: readonly string[];
	readonly #data: string;
	readonly #child: ChildProcess;
	readonly #look: NodeJS.Timeout;

	private constructor(
		url: string,
		data: string,
		child: ChildProcess,
		told: readonly string[],
	) {
		this.url = url;
		this.told = told;
		this.#data = data;
		this.#child = child;
		const look = async () => this.memory.push((await this.facts()).rss);
		this.#look = setInterval(() => look().catch(() => undefined), 30_000);
	}

	/**
	 * @param dir where its store and data are
	 * @param servers a broker and a PostgreSQL to use; without them it brings its own
	 * @throws WattvoxError E_BROKER (it ended); the signal's reason
	 */
	static async start(
		dir: string,
		servers: { broker: string; database: string } | undefined,
		signal: AbortSignal,
	): Promise<ServedFleet> {
		const data = join(dir, "data");
		const child = spawn(
			process.execPath,
			[
				...[PROGRAM, "fleet", "serve", "--http-port", "0"],
				...["--store", join(dir, "store"), "--data", data],
				...(servers ? ["--broker", servers.broker] : ["--port", "0"]),
			],
			{
				stdio: ["ignore", "ignore", "pipe"],
				env: {
					...process.env,
					...(servers && { WATTVOX_DATABASE: servers.database }),
				},
			},
		);
		const abort = () => child.kill("SIGKILL");
		signal.addEventListener("abort", abort, { once: true });
		const told: string[] = [];
		try {
			const url = await new Promise<string>((resolve, reject) => {
				createInterface(child.stderr).on("line", (line) => {
					told.push(line);
					const [, found] = /serving .* on (mqtt:\S+)/.exec(line) ?? [];
					if (found !== undefined) resolve(found);
				});
				child.once("error", reject);
				child.once("close", () =>
					reject(new WattvoxError("E_BROKER", told.join("\n"))),
				);
			});
			return new ServedFleet(url, data, child, told);
		} catch (thrown) {
			signal.throwIfAborted();
			throw thrown;
		} finally {
			signal.removeEventListener("abort", abort);
		}
	}

	/** @throws WattvoxError E_FILE_MISSING once it has ended */
	facts(): Promise<ProcessFacts> {
		return processFacts(this.#child.pid ?? 0);
	}

	/** Reports that it took, from what it tells Prometheus. @throws WattvoxError E_BROKER */
	async received(): Promise<number> {
		const { url, token } = JSON.parse(
			await readFile(join(this.#data, "server.json"), "utf8"),
		) as { url: string; token: string };
		const reply = await fetch(`${url}/metrics`, {
			headers: { authorization: `Bearer ${token}` },
		});
		const found =
			/^wattvox_collector_reports_total\{what="received"\} (\d+)$/m.exec(
				await reply.text(),
			);
		if (!found) throw new WattvoxError("E_BROKER", "it counts no reports");
		return Number(found[1]);
	}

	/** A table as `wattvox fleet power` gets it. @throws WattvoxError E_STORE */
	async power(by: PowerTable["by"], since?: number): Promise<PowerTable> {
		const answer = await askServer(this.#data, "power", {
			by,
			since: since === undefined ? undefined : new Date(since).toISOString(),
		});
		if (!answer) throw new WattvoxError("E_STORE", "it does not answer");
		return answer;
	}

	/** Everything that it ever counted; null: nothing. @throws WattvoxError E_STORE */
	async millijoules(): Promise<number | null> {
		const { joules } = (await this.power("voice")).total;
		return joules === null ? null : Math.round(joules * 1000);
	}

	/** Kills it: what counts is committed. Idempotent. */
	async stop(): Promise<void> {
		clearInterval(this.#look);
		const { exitCode, signalCode } = this.#child;
		if (exitCode !== null || signalCode !== null) return;
		const gone = once(this.#child, "exit");
		this.#child.kill("SIGKILL");
		await gone;
	}
}
