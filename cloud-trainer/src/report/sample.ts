import type { DemoReport } from "./types.ts";

/** A small report of made-up values, for tests. */
export function sampleReport(over: Partial<DemoReport> = {}): DemoReport {
	const frames = 80;
	const nMels = 80;
	const mel = Float32Array.from(
		{ length: frames * nMels },
		(_, i) => Math.sin(i / 97) * Math.cos((i % nMels) / 9) * 4 - 3,
	);
	return {
		title: "A voice",
		createdAt: new Date("2026-03-04T10:20:00Z"),
		voice: {
			name: "demo",
			about: "From a recording.",
			facts: [["Base", "base-en"]],
		},
		stages: [
			{
				name: "fine-tune",
				seconds: 90,
				joules: 1800,
				measured: true,
				result: "300 steps",
			},
			{ name: "speak", seconds: 1, joules: 20, measured: true, result: "" },
		],
		power: { sensor: "rapl", scope: "the processor package", measured: true },
		curves: [
			{
				name: "fine-tune/training",
				points: [
					[0, 1],
					[50, 0.5],
					[100, 0.25],
				],
			},
			{
				name: "fine-tune/held out",
				points: [
					[0, 1.1],
					[100, 0.4],
				],
			},
		],
		audio: [
			{ label: "Recording", text: "One.", wav: sineWav(1) },
			{ label: "Synthesis", text: "Two.", wav: sineWav(1.5) },
		],
		spectrograms: [
			{ label: "Recording", mel, frames, nMels },
			{ label: "Teacher", mel, frames, nMels },
		],
		figures: [
			{
				name: "First sound",
				value: 61,
				unit: "ms",
				headline: true,
				goal: { is: "at most", value: 150 },
			},
		],
		notes: ["A note."],
		...over,
	};
}

/** A quiet 220 Hz tone: wav, mono, 16 bits, 8 kHz. */
function sineWav(seconds: number): Uint8Array {
	const rate = 8000;
	const count = Math.round(seconds * rate);
	const out = Buffer.alloc(44 + 2 * count);
	out.write("RIFF", 0);
	out.writeUInt32LE(36 + 2 * count, 4);
	out.write("WAVEfmt ", 8);
	out.writeUInt32LE(16, 16);
	out.writeUInt16LE(1, 20);
	out.writeUInt16LE(1, 22);
	out.writeUInt32LE(rate, 24);
	out.writeUInt32LE(2 * rate, 28);
	out.writeUInt16LE(2, 32);
	out.writeUInt16LE(16, 34);
	out.write("data", 36);
	out.writeUInt32LE(2 * count, 40);
	for (let i = 0; i < count; i++)
		out.writeInt16LE(
			Math.round(3000 * Math.sin((2 * Math.PI * 220 * i) / rate)),
			44 + 2 * i,
		);
	return out;
}
