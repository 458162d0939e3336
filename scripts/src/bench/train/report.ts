import { table } from "@wattvox/core";
import { formatMachine } from "../machine.ts";
import type { TrainBench } from "../train.ts";
import type { Measured, SideFacts } from "./measure.ts";

/** The goals: our speed over PyTorch's, our memory over PyTorch's, and recomputation's time and memory. */
export const GOAL = {
	speed: 1.3,
	memory: 0.5,
	again: { time: 1.3, memory: 0.5 },
};

/** Largest relative difference of the first step's loss and norm that counts as equal. */
const EQUAL = 1e-4;

const ms = (s: SideFacts | null): string =>
	s ? `${s.ms.toFixed(0)} (${s.low.toFixed(0)}-${s.high.toFixed(0)})` : "-";
const mb = (s: SideFacts | null): string =>
	s ? (s.memory / 1e6).toFixed(0) : "-";
const whole = (s: SideFacts | null): string =>
	s ? (s.whole / 1e6).toFixed(0) : "-";
const nameOf = (r: Measured): string =>
	[
		`${r.model}, ${r.mode}`,
		...(r.accumulate > 1 ? [`${r.accumulate} parts`] : []),
		...(r.segments > 1 ? [`${r.segments} segments`] : []),
	].join(", ");
const met = (ok: boolean): string => (ok ? "yes" : "no");

function line(r: Measured): string[] {
	const { ours, torch } = r;
	const speed = torch ? torch.ms / ours.ms : null;
	const cpu = torch ? torch.cpuMs / ours.cpuMs : null;
	const memory = torch ? ours.memory / torch.memory : null;
	const equal =
		r.lossGap === null || r.normGap === null
			? "-"
			: Math.max(r.lossGap, r.normGap) <= EQUAL
				? `yes (${Math.max(r.lossGap, r.normGap).toExponential(0)})`
				: `NO (${r.lossGap.toExponential(1)}, ${r.normGap.toExponential(1)})`;
	return [
		nameOf(r),
		String(r.parameters),
		equal,
		ms(ours),
		ms(torch),
		speed === null ? "-" : `${speed.toFixed(2)} x`,
		cpu === null ? "-" : `${cpu.toFixed(2)} x`,
		mb(ours),
		mb(torch),
		memory === null ? "-" : `${memory.toFixed(2)} x`,
		`${whole(ours)} / ${whole(torch)}`,
		speed === null || memory === null
			? "-"
			: `${met(speed >= GOAL.speed)}, ${met(memory <= GOAL.memory)}`,
		`${r.loopDelay.toFixed(0)} ms`,
	];
}

const HEADER = [
	"step",
	"trained",
	"loss and norm equal",
	"ours, ms",
	"PyTorch, ms",
	"faster",
	"in processor time",
	"ours, MB",
	"PyTorch, MB",
	"memory",
	"whole process, MB",
	`>= ${GOAL.speed} x, <= ${GOAL.memory} x`,
	"event loop held",
];

/** Tables for a reader. */
export function report(r: TrainBench): string {
	const parts = [
		formatMachine(r.machine),
		`${r.threads} threads; ${r.torch ? `PyTorch ${r.torch.version}, eager` : "no PyTorch here"}`,
		peaks(r),
		table(HEADER, r.rows.map(line), ["left", ...HEADER.slice(1).map(right)]),
		"Milliseconds: median and quartiles of all rounds. Memory: the largest resident set above what the process held when it was ready for its first step (model, batch and optimiser there; ours: the session too).",
		...recomputation(r.rows),
		...r.rows.filter((row) => row.ops.length).map((row) => operators(row, r)),
	];
	return parts.join("\n\n");
}

/** What recomputation costs and saves: our side with it and without, in the same rounds. */
function recomputation(rows: readonly Measured[]): string[] {
	const lines = rows.flatMap((r) => {
		const { ours, plain } = r;
		if (!plain) return [];
		const time = ours.cpuMs / plain.cpuMs;
		const memory = ours.memory / plain.memory;
		return [
			[
				nameOf(r),
				ms(plain),
				ms(ours),
				`${(ours.ms / plain.ms).toFixed(2)} x`,
				`${time.toFixed(2)} x`,
				mb(plain),
				mb(ours),
				`${memory.toFixed(2)} x`,
				`${met(ours.ms / plain.ms <= GOAL.again.time)}, ${met(memory <= GOAL.again.memory)}`,
			],
		];
	});
	const header = [
		"recomputation",
		"without, ms",
		"with, ms",
		"time",
		"processor time",
		"without, MB",
		"with, MB",
		"memory",
		`<= ${GOAL.again.time} x, <= ${GOAL.again.memory} x`,
	];
	return lines.length
		? [table(header, lines, ["left", ...header.slice(1).map(right)])]
		: [];
}

const right = () => "right" as const;

function peaks({ peak }: TrainBench): string {
	const ours = `A product of two 1024-square matrices: ONNX Runtime ${peak.ours.toFixed(0)} GFLOP/s`;
	if (peak.torch === null) return `${ours}.`;
	const slow =
		peak.torch < 0.7 * peak.ours
			? "\nThis PyTorch has a slow BLAS: the ratios of models made of products say more about that than about PyTorch."
			: "";
	return `${ours}, PyTorch ${peak.torch.toFixed(0)} GFLOP/s.${slow}`;
}

/** Where our time goes. */
function operators(row: Measured, { peak }: TrainBench): string {
	const all = row.ops.reduce((sum, o) => sum + o.ms, 0);
	const rows = row.ops
		.slice(0, 10)
		.map((o) => [
			o.op,
			String(o.count),
			o.ms.toFixed(1),
			`${((100 * o.ms) / all).toFixed(0)} %`,
			o.gflops
				? `${o.gflops.toFixed(0)} (${((100 * o.gflops) / peak.ours).toFixed(0)} %)`
				: "",
		]);
	return `${row.model}, ${row.mode}: ${all.toFixed(0)} ms in operators
${table(["operator", "nodes", "ms", "share", "GFLOP/s (of the peak)"], rows, ["left", "right", "right", "right", "right"])}`;
}
