import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ERRORS, type ErrorCode, WattvoxError } from "@wattvox/core";
import test from "ava";
import { command } from "./command.ts";
import { commands, groups } from "./commands/index.ts";
import { parse } from "./parse.ts";
import { run } from "./run.ts";
import { cli, FakeHost } from "./testing.ts";

const echo = command({
	usage: "echo <text>",
	about: "Says it back",
	examples: [["echo hello", "says hello"]],
	positionals: { text: { type: "string", demandOption: true } },
	options: {
		times: { type: "number", default: 1 },
		loud: { type: "boolean", default: false },
		tag: { type: "array", string: true, default: [] },
		"part-size": { type: "number" },
	},
	async run(args, io) {
		io.progress.note("working");
		io.result(
			{
				text: args.text,
				times: args.times,
				loud: args.loud,
				tag: args.tag,
				partSize: args["part-size"] ?? null,
			},
			args.text.repeat(args.times),
		);
	},
});

const fail = command({
	usage: "fail <code>",
	about: "Fails",
	examples: [["fail E_KEY", "fails so"]],
	positionals: { code: { type: "string", demandOption: true } },
	options: {},
	async run({ code }) {
		if (code === "bug") throw new TypeError("x is not a function");
		throw new WattvoxError(
			code as ErrorCode,
			"mqtt://me:hunter2@broker refused",
		);
	},
});

/** Waits for the abort, then either returns or throws its reason. */
const wait = (service: boolean, rethrow: boolean) =>
	command({
		usage: "wait",
		about: "Waits",
		examples: [["wait", "waits"]],
		positionals: {},
		options: {},
		service,
		async run(_, io) {
			await new Promise((resolve) =>
				io.signal.addEventListener("abort", resolve, { once: true }),
			);
			if (rethrow) io.signal.throwIfAborted();
		},
	});

const mine = (argv: string[], env = {}) => cli(argv, env, [echo, fail], {});

test("text for people, one JSON value for programs; progress on standard error alone", async (t) => {
	const people = await mine(["echo", "ab", "--times", "2"]);
	t.is(people.out, "abab\n");
	t.is(people.err, "working\n");
	t.is(people.code, 0);
	const program = await mine(["echo", "ab", "--json"]);
	t.like(program.json, { text: "ab", times: 1 });
	t.is(program.err, "");
});

test("text that begins with a dash, and text that is a number, stay text", async (t) => {
	t.like((await mine(["echo", "--json", "--", "-5 degrees"])).json, {
		text: "-5 degrees",
	});
	t.like((await mine(["echo", "007", "--json"])).json, { text: "007" });
	t.like((await mine(["echo", "--json", "--", "--json"])).json, {
		text: "--json",
	});
	t.is((await mine(["echo", "--", "--json"])).out, "--json\n");
});

for (const argv of [
	[],
	["ehco", "x"],
	["echo"],
	["echo", "x", "y"],
	["echo", "x", "--bogus"],
	["echo", "x", "--times"],
	["echo", "x", "--times", "many"],
	["echo", "x", "--times", "1", "--times", "2"],
])
	test(`bad usage: wattvox ${argv.join(" ")}`, async (t) => {
		const { code, out, err } = await mine(argv);
		t.is(code, 2);
		t.is(out, "");
		t.regex(err, /^error E_USAGE: \S.*\n {2}See --help\.\n$/);
	});

test("a mistyped command is named, and so are those that exist", async (t) => {
	const { err } = await mine(["ehco", "x"]);
	t.regex(err, /there is no command "ehco"; there are .*\becho\b/);
});

test("an array takes repeated flags and no positional", async (t) => {
	const { json } = await mine([..."echo --tag a --tag b x --json".split(" ")]);
	t.like(json, { text: "x", tag: ["a", "b"] });
});

for (const [code, { exit, help }] of Object.entries(ERRORS))
	test(`${code} exits ${exit}, says what to do, and leaks nothing`, async (t) => {
		const people = await mine(["fail", code]);
		t.is(people.code, exit);
		t.true(
			people.err.startsWith(
				`error ${code}: mqtt://[redacted]@broker refused\n  ${help}\n`,
			),
		);
		const program = await mine(["fail", code, "--json"]);
		t.is(program.code, exit);
		t.is(program.err, "");
		t.like(program.json, { error: { code, help, exit } });
		t.false(program.out.includes("hunter2"));
	});

test("an error outside the table is our bug, with its stack", async (t) => {
	const { code, err } = await mine(["fail", "bug"]);
	t.is(code, 1);
	t.regex(err, /^error E_BUG: x is not a function\n {2}This is a fault/);
	t.regex(err, /at .*run\.test/);
});

test("flags come before the environment, the environment before the file", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-cli-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const file = join(dir, "c.json");
	await writeFile(file, '{"times": 3, "part-size": 7, "loud": true}');
	const from = async (argv: string[], env: NodeJS.ProcessEnv = {}) =>
		(await mine(["echo", "x", "--json", ...argv], env)).json;
	t.like(await from(["--config", file]), { times: 3, partSize: 7, loud: true });
	t.like(await from([`--config=${file}`], { WATTVOX_TIMES: "4" }), {
		times: 4,
		partSize: 7,
	});
	t.like(
		await from(["--times", "5"], {
			WATTVOX_CONFIG: file,
			WATTVOX_TIMES: "4",
			WATTVOX_PART_SIZE: "9",
		}),
		{ times: 5, partSize: 9 },
	);
	// variables of other programs, and of ours that are no options
	t.like(await from([], { WATTVOX_LOG: "debug" }), { times: 1 });
});

for (const [text, code] of [
	['{"tiems": 3}', 2],
	['{"times": "3"}', 2],
	["[1]", 3],
	["{", 3],
] as const)
	test(`a config file with ${text} is refused`, async (t) => {
		const dir = await mkdtemp(join(tmpdir(), "wattvox-cli-"));
		t.teardown(() => rm(dir, { recursive: true }));
		const file = join(dir, "c.json");
		await writeFile(file, text);
		t.is((await mine(["echo", "x", "--config", file])).code, code);
	});

test("a config file that is asked for must exist", async (t) => {
	const { code, err } = await mine(["echo", "x", "--config", "/nonexistent"]);
	t.is(code, 3);
	t.regex(err, /E_FILE_MISSING/);
});

for (const [signal, service, rethrow, code] of [
	["SIGINT", false, true, 130],
	["SIGINT", false, false, 130],
	["SIGINT", true, false, 130],
	["SIGTERM", true, false, 0],
	["SIGTERM", false, false, 130],
] as const)
	test(`${signal}, ${service ? "service" : "work"}, ${rethrow ? "thrown" : "returned"}: ${code}`, async (t) => {
		const host = new FakeHost();
		const ended = run(["wait"], [wait(service, rethrow)], {}, host);
		await new Promise((resolve) => setImmediate(resolve));
		host.emit(signal);
		host.emit(signal);
		t.deepEqual(host.kills, ["SIGINT"]);
		t.is(await ended, code);
		t.is(host.listenerCount("SIGINT"), 0);
	});

test("every command has help with its examples, which parse as written", async (t) => {
	for (const c of commands) {
		const words = c.usage.split(" ").filter((w) => !/^[<[]/.test(w));
		const { code, out } = await cli([...words, "--help"]);
		t.is(code, 0, c.usage);
		t.true(c.examples.length > 0, c.usage);
		for (const [line] of c.examples) {
			t.true(out.includes(`  wattvox ${line}\n`), `${c.usage}: ${out}`);
			// a redirection is the shell's
			const typed = line.replace(/ > \S+$/, "");
			const argv = [...typed.matchAll(/"([^"]*)"|(\S+)/g)].map(
				([, quoted, bare]) => quoted ?? bare ?? "",
			);
			const asked = await parse(argv, commands, groups, {
				XDG_CONFIG_HOME: "/nonexistent",
			});
			t.like(asked, { kind: "run", command: { usage: c.usage } }, line);
		}
	}
	for (const word of Object.keys(groups))
		t.true((await cli([word, "--help"])).out.includes(`wattvox ${word} `));
	t.is((await cli(["--help"])).code, 0);
	t.regex((await cli(["--version"])).out, /^\d+\.\d+\.\d+/);
});
