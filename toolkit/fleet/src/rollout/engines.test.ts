import test from "ava";
import { checkEngines, type EngineTarget } from "./engines.ts";

const nano: EngineTarget = {
	device: "d1",
	deviceClass: "nano",
	runtime: { name: "tensorrt" },
};
const failing = { code: "E_ENGINE_BUILD", message: "no" };

test("a class whose devices speak by TensorRT, or should, or have not said, needs an engine", (t) => {
	for (const runtime of [
		{ name: "tensorrt" },
		{ name: "onnxruntime", reason: failing },
		undefined,
	] as const) {
		const target = { ...nano, runtime };
		t.throws(() => checkEngines([target], new Set(["agx"])), {
			code: "E_USAGE",
			message: /for device class nano:/,
		});
		t.notThrows(() => checkEngines([target], new Set(["nano"])));
	}
});

test("one device that needs an engine is enough; one on ONNX Runtime by choice needs none", (t) => {
	const plain = { ...nano, runtime: { name: "onnxruntime" } } as const;
	t.notThrows(() => checkEngines([plain], new Set()));
	const other = { ...nano, deviceClass: "agx" };
	t.throws(() => checkEngines([plain, nano, other, other], new Set()), {
		message: /class agx, nano:/,
	});
	t.throws(() => checkEngines([plain, nano, other], new Set(["nano"])), {
		message: /class agx:/,
	});
});

test("a device that does not say its class is named", (t) => {
	const target = { ...nano, deviceClass: null };
	t.throws(() => checkEngines([target], new Set(["nano"])), {
		code: "E_USAGE",
		message: /d1 does not say its device class/,
	});
	const plain = { ...target, runtime: { name: "onnxruntime" } } as const;
	t.notThrows(() => checkEngines([plain], new Set()));
});
