import test from "ava";
import { formatStatus, type WrittenStatus } from "./status.ts";

const status = (
	runtime: WrittenStatus["reported"]["runtime"],
	engine: string | null = null,
	trial: WrittenStatus["trial"] = null,
	board?: WrittenStatus["reported"]["board"],
): string =>
	formatStatus({
		running: true,
		pid: 7,
		url: "http://127.0.0.1:8420",
		connected: true,
		trial,
		speaker: { up: true, pid: 8, restarts: 0, bundle: "b", engine },
		reported: {
			v: 1,
			bundle: "b".repeat(64),
			revision: 1,
			state: "active",
			at: "2026-01-01T00:00:00.000Z",
			...(runtime && { runtime }),
			...(board && { board }),
		},
	});

test("the status says what computes, and why it is not the engine", (t) => {
	t.notRegex(status(undefined), /^by /m);
	t.regex(
		status({ name: "tensorrt" }, "3f2a90c41b77aa"),
		/^by +TensorRT, engine 3f2a90c41b77$/m,
	);
	t.regex(status({ name: "onnxruntime" }), /^by +ONNX Runtime$/m);
	const reason = { code: "E_ENGINE_DIFFERS", message: "4 dB off" };
	t.regex(
		status({ name: "onnxruntime", reason }),
		/^by +ONNX Runtime \(E_ENGINE_DIFFERS: 4 dB off\)$/m,
	);
});

test("the status shows what the board says of itself", (t) => {
	t.notRegex(status(undefined), /^board /m);
	const board = {
		...{ model: "NVIDIA Jetson AGX Orin", l4t: "35.4.1", tensorrt: "8.5.2" },
		...{ powerMode: null, temperatures: { cpu: 48.5, gpu: 51 }, gpuLoad: 0 },
		at: "2026-01-01T00:00:00.000Z",
	};
	t.regex(
		status(undefined, null, null, board),
		/^board +NVIDIA Jetson AGX Orin, Linux for Tegra 35\.4\.1, TensorRT 8\.5\.2, hottest zone 51 °C, GPU load 0 %$/m,
	);
});

test("the status shows the newest trial's figures", (t) => {
	t.notRegex(status(undefined), /^trial /m);
	const trial = {
		...{ bundle: "3f2a90c41b77aa", passed: false, problems: ["too slow"] },
		...{ melDistance: 0.1234, realTimeFactor: 0.9, firstSoundMs: 41.6 },
		underruns: 2,
	};
	t.regex(
		status(undefined, null, trial),
		/^trial +3f2a90c41b77 failed, mel distance 0\.123, real-time factor 0\.900, first sound 42 ms, underruns 2$/m,
	);
});

test("the status names what the broker keeps from the device", (t) => {
	const text = formatStatus({
		...{ running: true, pid: 7, url: "http://127.0.0.1:8420" },
		...{ connected: true, trial: null },
		speaker: { up: true, pid: 8, restarts: 0, bundle: "b", engine: null },
		denied: [{ kind: "power", code: "E_DENIED", message: "no" }],
		reported: {
			...{ v: 1, bundle: null, revision: null, state: "idle" },
			at: "2026-01-01T00:00:00.000Z",
		},
	});
	t.regex(text, /^denied +power \(E_DENIED: no\)$/m);
});

test("the status lists the voices that may be asked for", (t) => {
	const held = { base: "en", active: false };
	const text = formatStatus({
		...{ running: true, pid: 7, url: "http://127.0.0.1:8420" },
		...{ connected: false, trial: null },
		speaker: { up: true, pid: 8, restarts: 0, bundle: "b", engine: null },
		voices: [
			{
				...held,
				id: "anna",
				bundle: "a".repeat(64),
				active: true,
				loaded: true,
			},
			{ ...held, id: "berta", bundle: "b".repeat(64), loaded: true },
			{
				...held,
				...{ id: "dora", bundle: "d".repeat(64), loaded: true },
				...{ runtime: "onnxruntime", engine: null },
			},
			{
				...held,
				...{ id: "emma", bundle: "e".repeat(64), loaded: true },
				...{ runtime: "tensorrt", engine: "3f2a90c41b77aa" },
			},
			{ ...held, id: "clara", bundle: "c".repeat(64), loaded: false },
		],
		reported: {
			...{ v: 1, bundle: "a".repeat(64), revision: 1, state: "active" },
			at: "2026-01-01T00:00:00.000Z",
		},
	});
	t.notRegex(text, /anna/);
	t.regex(text, /^also +berta bbbbbbbbbbbb on en, loaded$/m);
	t.regex(text, /^also +dora dddddddddddd on en, loaded, by ONNX Runtime$/m);
	t.regex(
		text,
		/^also +emma eeeeeeeeeeee on en, loaded, by TensorRT, engine 3f2a90c41b77$/m,
	);
	t.regex(
		text,
		/^also +clara cccccccccccc on en, loaded when it is asked for$/m,
	);
});
