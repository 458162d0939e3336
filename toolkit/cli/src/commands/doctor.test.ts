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
	// Either the best sensor works, or each better one says why it does not.
	t.regex(
		found["other sensors"] ?? "",
		/^none was looked for|^ina3221: .+; tegrastats: /,
	);
	t.truthy(found.board);
});
