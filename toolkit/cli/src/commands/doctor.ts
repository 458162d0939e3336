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
	examples: [
		["doctor", "looks at Node, ONNX Runtime, power sensors, memory, disk"],
	],
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
			await look("power", async () => (await power()).used),
			await look("other sensors", async () => (await power()).passedOver),
			await look("board", board),
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

/** Which sensor there is, and why the others are not used; an estimate is no problem, but is called one. */
async function power(): Promise<{ used: string; passedOver: string }> {
	const { openPowerSource } = await import("@wattvox/energy");
	const { source, skipped } = await openPowerSource();
	const { sensor, measured, scope, rails, assumption } = source.describe();
	await source.close();
	return {
		used: measured
			? `measured by ${sensor} (${rails.join(", ")}): ${scope}`
			: `estimated by ${sensor}: ${assumption}`,
		passedOver:
			skipped.map((s) => `${s.sensor}: ${s.reason}`).join("; ") ||
			"none was looked for: the best one works",
	};
}

/** What the machine says of itself: a Jetson its module, mode and temperatures, a card its load. */
async function board(): Promise<string> {
	const { hottest, openNvml, readBoard } = await import("@wattvox/energy");
	const facts = readBoard();
	const degrees = hottest(facts);
	const parts = [
		facts.model,
		facts.l4t && `Linux for Tegra ${facts.l4t}`,
		facts.powerMode && `power mode ${facts.powerMode}`,
		degrees !== null && `hottest zone ${degrees.toFixed(0)} °C`,
		facts.gpuLoad !== null && `GPU load ${Math.round(100 * facts.gpuLoad)} %`,
	];
	const cards = await openNvml();
	if (!("unavailable" in cards)) {
		for (const { name, temperatureC, utilisation } of await cards.telemetry())
			parts.push(
				`${name}: ${temperatureC ?? "unknown"} °C, load ${utilisation === null ? "unknown" : `${Math.round(100 * utilisation)} %`}`,
			);
		await cards.close();
	}
	return parts.filter(Boolean).join(", ") || "says nothing of itself";
}

function gib(bytes: number): string {
	return (bytes / 2 ** 30).toFixed(1);
}
