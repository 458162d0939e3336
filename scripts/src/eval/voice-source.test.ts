import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	decoderGraph,
	ENGLISH_PHONES,
	newBase,
	symbolsOf,
	textGraph,
	writeModelHalf,
} from "@wattvox/cloud-trainer";
import { SPEAKER } from "@wattvox/models";
import test from "ava";
import { baseVoice, isBundle, openVoice, sayAll } from "./voice-source.ts";

test("a base speaks by an embedding, and all sentences or none are said", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-base-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const base = newBase("test", "en", symbolsOf([...ENGLISH_PHONES]));
	// As drawn, without training: between them the files hold all parameters.
	await writeModelHalf(join(dir, "student.onnx"), textGraph(base.student));
	await writeModelHalf(
		join(dir, "vocoder.onnx"),
		decoderGraph(base.student, base.vocoder),
	);
	t.false(await isBundle(dir));
	const speaker = new Float32Array(SPEAKER).fill(SPEAKER ** -0.5);
	const voice = await baseVoice(dir, base, "student", "test", speaker);
	t.teardown(() => voice.dispose?.());
	const none = new Float32Array(0);
	const clips = [
		{ name: "a", text: "Good morning.", samples: none },
		{ name: "b", text: "This is a rather longer sentence.", samples: none },
	];
	const [a, b] = await sayAll(voice, clips);
	t.is(a?.name, "a");
	t.true((a?.samples.length ?? 0) > 0);
	t.true((b?.samples.length ?? 0) > (a?.samples.length ?? 0));
	t.true(b?.samples.every(Number.isFinite));
	await t.throwsAsync(
		sayAll(voice, clips, AbortSignal.abort(new Error("enough"))),
		{
			message: "enough",
		},
	);
	// The folder has no wav files: it says none of them.
	await t.throwsAsync(sayAll(await openVoice(dir), clips), {
		code: "E_FILE_MISSING",
	});
});
