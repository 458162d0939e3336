import { EventEmitter } from "node:events";
import type { Command } from "./command.ts";
import { commands as all, groups as allGroups } from "./commands/index.ts";
import { type Host, run } from "./run.ts";

/** A process for tests: remembers what was written, takes signals, never exits. */
export class FakeHost extends EventEmitter implements Host {
	env: NodeJS.ProcessEnv;
	out = "";
	err = "";
	readonly pid = process.pid;
	/** Signals it would have ended by. */
	kills: string[] = [];
	stdout = {
		write: (text: string) => {
			this.out += text;
		},
	};
	stderr = {
		write: (text: string) => {
			this.err += text;
			this.emit("said");
		},
	};
	constructor(env: NodeJS.ProcessEnv = {}) {
		super();
		// no config of whoever runs the tests
		this.env = { XDG_CONFIG_HOME: "/nonexistent", ...env };
	}
	kill(_pid: number, signal: string): void {
		this.kills.push(signal);
	}
	/** What a program would read. */
	get json(): unknown {
		return JSON.parse(this.out);
	}
	/** Resolves with the match as soon as standard error has it. */
	says(pattern: RegExp): Promise<RegExpMatchArray> {
		return new Promise((resolve) => {
			const look = () => {
				const match = this.err.match(pattern);
				if (!match) return;
				this.off("said", look);
				resolve(match);
			};
			this.on("said", look);
			look();
		});
	}
}

/** Runs a command line in this process. */
export async function cli(
	argv: readonly string[],
	env: NodeJS.ProcessEnv = {},
	commands: readonly Command[] = all,
	groups: Readonly<Record<string, string>> = allGroups,
): Promise<FakeHost & { code: number }> {
	const host = new FakeHost(env);
	const code = await run(argv, commands, groups, host);
	return Object.assign(host, { code });
}

/** Starts a command line that runs until it is told to stop, at the latest when the test ends. */
export function service(
	argv: readonly string[],
	t: { teardown(fn: () => Promise<unknown>): void },
): {
	host: FakeHost;
	ended: Promise<number>;
} {
	const host = new FakeHost();
	const ended = run(argv, all, allGroups, host);
	t.teardown(() => {
		host.emit("SIGTERM");
		return ended;
	});
	return { host, ended };
}
