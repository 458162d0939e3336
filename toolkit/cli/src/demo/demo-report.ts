import type { DemoReport, ReportFigure } from "@wattvox/cloud-trainer";
import type { DemoOptions, DemoResult } from "./run-demo.ts";

/** The demonstration as a report. */
export async function demoReport(
	o: DemoOptions,
	d: DemoResult,
): Promise<DemoReport> {
	const [{ reportPower, reportStages }, speech] = await Promise.all([
		import("@wattvox/cloud-trainer"),
		import("@wattvox/speech"),
	]);
	const { run } = d;
	const { audio } = run.base;
	const heard = (label: string, text: string, samples: Float32Array) => {
		const mel = speech.logMel(samples, audio);
		return {
			audio: { label, text, wav: speech.writeWav(samples, audio.sampleRate) },
			spectrogram: {
				label,
				mel,
				frames: mel.length / audio.nMels,
				nMels: audio.nMels,
			},
		};
	};
	const sounds = [
		...(d.heldOut
			? [
					heard(
						"Recording",
						d.heldOut.spoken.text,
						Float32Array.from(d.heldOut.segment.wave, (x) => x / 32768),
					),
					heard(
						"The new voice, same words",
						d.heldOut.spoken.text,
						d.heldOut.spoken.samples,
					),
				]
			: []),
		...d.spoken.map((s, i) =>
			heard(`New sentence ${i + 1}`, s.text, s.samples),
		),
	];
	const seconds = run.samples.length / audio.sampleRate;
	const power = reportPower(d.energy);
	return {
		title: "A minute of speech becomes a voice",
		createdAt: new Date(),
		voice: {
			name: run.name,
			about: `Fine-tuned from ${Math.round(seconds)} seconds of a voice${o.unheard ? " that the base has never heard" : ""}, distilled, signed, delivered over MQTT, verified, and spoken by an agent on this machine.`,
			facts: [
				["Base", `${run.base.name} (${run.base.language})`],
				[
					"Recording",
					`${seconds.toFixed(1)} s at ${audio.sampleRate} Hz, ${run.segments.length} segments`,
				],
				[
					"Adapter",
					`LoRA, ${d.distil.adapted.parameters} numbers, ${d.exported.adapterBytes} bytes`,
				],
				["Bundle", d.exported.digest],
				["Consent", run.consent],
			],
		},
		stages: reportStages(d.energy, d.results),
		...(power && { power }),
		curves: [
			{ name: "fine-tune/training", points: d.fineTune.training },
			{ name: "fine-tune/held out", points: d.fineTune.heldOut },
			{ name: "distil/training", points: d.distil.training },
			{ name: "distil/held out", points: d.distil.heldOut },
		].filter((c) => c.points.length > 0),
		audio: sounds.map((s) => s.audio),
		spectrograms: sounds.map((s) => s.spectrogram),
		figures: figures(d),
		notes: notes(o, d),
	};
}

function figures(d: DemoResult): ReportFigure[] {
	const spoken = [...d.spoken, ...(d.heldOut ? [d.heldOut.spoken] : [])];
	const alike = d.likeness;
	const joules = d.workload?.joulesPerAudioSecond?.marginal.value;
	const { joulesPerAudioSecond, estimatedJoulesPerAudioSecond } = d.power.total;
	return [
		{
			name: "Real-time factor, 1 thread",
			value: d.realTimeFactor,
			unit: "",
			headline: true,
			goal: { is: "at most", value: 0.05 },
		},
		{
			name: "First sound, slowest utterance",
			value: Math.max(...spoken.map((s) => s.firstSoundMs)),
			unit: "ms",
			headline: true,
			goal: { is: "at most", value: 150 },
		},
		{
			name: "Adapter: what a second voice adds",
			value: d.exported.adapterBytes / 1000,
			unit: "kB",
			headline: true,
		},
		{
			name: "Utterances closer to the recording than to every base voice",
			value: alike.rival === null ? null : (100 * alike.closest) / alike.of,
			unit: "%",
			goal: { is: "at least", value: 90 },
		},
		{
			name: "Speaker similarity to the recording, cosine",
			value: alike.toTarget,
			unit: "",
		},
		{
			name: "Export against the trained graph, full scale 1",
			value: d.exported.check.wave,
			unit: "",
		},
		{
			name: "Peak memory, this process and its children together",
			value: d.memory.bytes / 1e9,
			unit: "GB",
			goal: { is: "at most", value: 3 },
		},
		...(joules === undefined
			? []
			: [
					{
						name: "Energy per second of speech above idle, fixed workload",
						value: joules,
						unit: "J",
						estimated: !d.workload?.measured,
					},
				]),
		...(joulesPerAudioSecond === null
			? []
			: [
					{
						name: "Energy per second of speech, share of these utterances",
						value: joulesPerAudioSecond,
						unit: "J",
					},
				]),
		...(estimatedJoulesPerAudioSecond === null
			? []
			: [
					{
						name: "Energy per second of speech, share of these utterances",
						value: estimatedJoulesPerAudioSecond,
						unit: "J",
						estimated: true,
					},
				]),
	];
}

function notes(o: DemoOptions, d: DemoResult): string[] {
	return [
		"The sentences were spoken by the device's speech API from the bundle it had pulled and verified.",
		"A single utterance takes less time than a sensor's sampling period, so its energy is a share of busy time, not a measurement of it.",
		...(d.workload
			? [d.workload.method]
			: [
					"No sensor measures power here, so the fixed workload that gives joules per second of speech was left out; --workload 30 runs it with the estimate.",
				]),
		...(o.clip.endsWith("demo/clip.wav")
			? [
					"The demonstration's recording is itself synthetic: Festival's ked diphone voice reading a passage. The base has not heard it.",
				]
			: []),
	];
}
