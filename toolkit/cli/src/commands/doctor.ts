import { statfs } from "node:fs/promises";
import { freemem, totalmem } from "node:os";
import { asWattvoxError, facts, type WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";

/** One thing that was looked at. */
interface Finding {
	what: string;
	ok: boolean;
	found: string;
}

export const doctor = command({
	usage: "doctor",
	about: "Whether this machine has what wattvox needs",
	examples: [["doctor", "looks at Node, ONNX Runtime, power, memory, disk"]],
	positionals: {},
	options: {},
	async run(_, io) {
		let worst: WattvoxError | undefined;
		const look = async (
			what: string,
			check: () => Promise<string>,
		): Promise<Finding> => {
			try {
				return { what, ok: true, found: await check() };
			} catch (thrown) {
				const error = asWattvoxError(thrown);
				worst ??= error;
				return { what, ok: false, found: `${error.code}: ${error.message}` };
			}
		};
		const findings = [
			await look("node", async () => `${process.version} ${process.arch}`),
			await look("onnx runtime", () => adds(io.signal)),
			await look("power", power),
			await look(
				"memory",
				async () => `${gib(freemem())} of ${gib(totalmem())} GiB free`,
			),
			await look("disk", async () => {
				const { bavail, bsize } = await statfs(".");
				return `${gib(bavail * bsize)} GiB free here`;
			}),
		];
		io.result(
			{ ok: worst === undefined, findings },
			facts(
				findings.map((f) => [f.what, f.ok ? f.found : `PROBLEM ${f.found}`]),
			),
		);
		if (worst) throw worst;
	},
});

/** Runs a graph of one node the way voices run: in a worker thread. */
async function adds(signal: AbortSignal): Promise<string> {
	const [{ createEngine, tensor }, { encodeModel, GraphBuilder }] =
		await Promise.all([import("@wattvox/runtime"), import("@wattvox/onnx")]);
	const g = new GraphBuilder();
	const x = g.input("x", "float32", [2]);
	g.output(g.add(x, x), "y");
	const begin = performance.now();
	const engine = await createEngine(encodeModel(g.graph), { signal });
	try {
		const feeds = { x: tensor("float32", [2], Float32Array.of(1, 2)) };
		const { y } = await engine.run(feeds, { signal });
		if (y?.data[0] !== 2 || y.data[1] !== 4)
			throw new Error(`1 + 1 is ${y?.data[0]}`);
	} finally {
		await engine.dispose();
	}
	return `computes, ready in ${Math.round(performance.now() - begin)} ms`;
}

/** Which sensor there is; an estimate is no problem, but is called one. */
async function power(): Promise<string> {
	const { openPowerSource } = await import("@wattvox/energy");
	const { source, skipped } = await openPowerSource();
	const { sensor, measured, scope } = source.describe();
	await source.close();
	const why = skipped.map((s) => `no ${s.sensor}: ${s.reason}`).join("; ");
	return `${measured ? "measured" : "estimated"} by ${sensor}: ${scope}${why ? ` (${why})` : ""}`;
}

function gib(bytes: number): string {
	return (bytes / 2 ** 30).toFixed(1);
}
