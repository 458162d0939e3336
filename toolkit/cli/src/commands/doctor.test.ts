import test from "ava";
import { cli } from "../testing.ts";

test("doctor computes with ONNX Runtime and names the power source", async (t) => {
	const { code, json } = await cli(["doctor", "--json"]);
	t.is(code, 0);
	const { ok, findings } = json as {
		ok: boolean;
		findings: { what: string; ok: boolean; found: string }[];
	};
	t.true(ok);
	const found = Object.fromEntries(findings.map((f) => [f.what, f.found]));
	t.regex(found["onnx runtime"] ?? "", /computes/);
	t.regex(found.power ?? "", /^(measured|estimated) by /);
});
