import { WattvoxError } from "@wattvox/core";
import test from "ava";
import { Asides } from "./asides.ts";
import type { ToSpeaker } from "./messages.ts";

function asides(verify = async (digest: string) => at(digest)) {
	const sent: ToSpeaker[] = [];
	const troubles: string[] = [];
	const it = new Asides({
		verify,
		onTrouble: (digest, { message }) => troubles.push(`${digest} ${message}`),
		send: (message) => sent.push(message),
	});
	return { it, sent, troubles };
}

const at = (digest: string) => ({
	digest,
	dir: "/nowhere",
	memory: { onnxruntime: 1 },
});
const loading = (digest: string | null, loaded: string[] = []) => ({
	kind: "aside" as const,
	loading: digest,
	loaded: loaded.map((d) => ({ digest: d, bytes: 1, engine: null })),
});

test("a voice that is asked for is verified, or refused with its reason", async (t) => {
	const { it, sent } = asides(async (digest) => {
		if (digest === "bad") throw new WattvoxError("E_TAMPERED", "damaged");
		return at(digest);
	});
	it.heard({ kind: "want", digest: "good" });
	it.heard({ kind: "want", digest: "bad" });
	while (sent.length < 2) await Promise.resolve();
	t.deepEqual(sent, [
		{ kind: "verified", voice: at("good") },
		{ kind: "refused", digest: "bad", code: "E_TAMPERED", message: "damaged" },
	]);
});

test("a process is not answered what the one before it asked", async (t) => {
	const answers: (() => void)[] = [];
	const { it, sent } = asides(
		(digest) =>
			new Promise((resolve) => {
				answers.push(() => resolve(at(digest)));
			}),
	);
	it.heard({ kind: "want", digest: "a" });
	it.ended("SIGKILL");
	it.heard({ kind: "want", digest: "b" });
	for (const answer of answers) answer();
	while (sent.length === 0) await Promise.resolve();
	t.deepEqual(sent, [{ kind: "verified", voice: at("b") }]);
});

test("a voice that ends the speaker twice while it is loaded is given up; one death may be chance", (t) => {
	const { it, troubles } = asides();
	it.heard(loading("a"));
	it.ended("SIGKILL");
	t.deepEqual(it.state, { loaded: [], loading: null });
	// it loads after all: then the death was none of its doing
	it.heard(loading("a"));
	it.heard(loading(null, ["a"]));
	it.ended("SIGKILL");
	t.deepEqual(troubles, []);
	for (let i = 0; i < 2; i++) {
		it.heard(loading("b", ["a"]));
		it.ended("SIGSEGV");
	}
	t.is(troubles.length, 1);
	t.regex(troubles[0] ?? "", /^b .*SIGSEGV\) 2 times while loading/);
});

test("the engines that are open for them are known; a voice whose engine is to blame keeps its chances", async (t) => {
	const engine = {
		...{ id: "e", path: "/nowhere", sha256: "", size: 1 },
		ports: { inputs: [], outputs: [] },
	};
	const { it, sent, troubles } = asides(async (digest) => ({
		...at(digest),
		...(digest === "b" && { engine }),
	}));
	for (const digest of ["a", "b"]) it.heard({ kind: "want", digest });
	while (sent.length < 2) await Promise.resolve();
	it.heard(loading("a"));
	t.deepEqual(it.engines, []);
	it.heard(loading("b", ["a"]));
	t.deepEqual(it.engines, [{ digest: "b", engine: "e" }]);
	for (let i = 0; i < 3; i++) {
		it.heard(loading("b"));
		it.ended("SIGSEGV", new Set(["b"]));
	}
	t.deepEqual([troubles, it.engines], [[], []]);
	it.heard({
		kind: "aside",
		loading: null,
		loaded: [{ digest: "b", bytes: 1, engine: "e" }],
	});
	t.deepEqual(it.engines, [{ digest: "b", engine: "e" }]);
});
