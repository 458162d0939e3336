import { EventEmitter } from "node:events";
import type { Command } from "./command.ts";
import { commands as all, groups as allGroups } from "./commands/index.ts";
import { type Host, run } from "./run.ts";

/** A process for tests: remembers what was written, takes signals, never exits. */
export class FakeHost extends EventEmitter implements Host {
	env: NodeJS.ProcessEnv;
	out = "";
	err = "";
	exits: number[] = [];
	stdout = {
		write: (text: string) => {
			this.out += text;
		},
	};
	stderr = {
		write: (text: string) => {
			this.err += text;
		},
	};
	constructor(env: NodeJS.ProcessEnv = {}) {
		super();
		// no config of whoever runs the tests
		this.env = { XDG_CONFIG_HOME: "/nonexistent", ...env };
	}
	exit(code: number): void {
		this.exits.push(code);
	}
	/** What a program would read. */
	get json(): unknown {
		return JSON.parse(this.out);
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
