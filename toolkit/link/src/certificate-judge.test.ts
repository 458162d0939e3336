import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { certificateDetails } from "./certificate.ts";
import { readCertificates, whyNotTrusted } from "./certificate-judge.ts";
import { AUTHORITY, type Issued, issue, SERVER } from "./testing.ts";

// What TLS stacks refuse to show stands here; the rest is tried on real connections (tls-clock.test.ts).
const FLOOR = Date.UTC(2042, 0, 1);

async function pki(t: ExecutionContext) {
	const root = await mkdtemp(join(tmpdir(), "wattvox-pki-"));
	t.teardown(() => rm(root, { recursive: true, force: true }));
	let count = 0;
	const make = (extensions: readonly string[], by?: Issued) =>
		issue({
			...{ dir: join(root, `c${count++}`), years: [2040, 2050], extensions },
			...(by && { by }),
		});
	return { make, authority: await make(AUTHORITY) };
}

const why = (authority: Issued, leaf: Issued, above: readonly Issued[] = []) =>
	whyNotTrusted({
		leaf: new X509Certificate(leaf.cert),
		above: above.map((a) => new X509Certificate(a.cert)),
		anchors: readCertificates(authority.cert),
		host: "127.0.0.1",
		floor: FLOOR,
	});

test("what a certificate may be used for is held to", async (t) => {
	const { make, authority } = await pki(t);
	for (const [usage, good] of [
		["digitalSignature", true],
		["critical,keyEncipherment", true],
		["keyAgreement", true],
		["keyCertSign", false],
		["nonRepudiation,dataEncipherment", false],
	] as const) {
		const leaf = await make([...SERVER, `keyUsage=${usage}`], authority);
		t.is(
			why(authority, leaf),
			good ? undefined : "its key is not for servers",
			usage,
		);
	}
	// an authority whose key may not sign certificates
	const weak = await make([
		"basicConstraints=critical,CA:TRUE",
		"keyUsage=cRLSign",
		"subjectKeyIdentifier=hash",
	]);
	t.truthy(why(weak, await make(SERVER, weak)));
});

test("a way up is found past what leads nowhere, and ends", async (t) => {
	const { make, authority } = await pki(t);
	const chain: Issued[] = [authority];
	for (let i = 0; i < 6; i++) chain.push(await make(AUTHORITY, chain.at(-1)));
	const [root, ...above] = chain as [Issued, ...Issued[]];
	const leafOf = (n: number) => make(SERVER, chain[n]);
	t.is(why(root, await leafOf(4), above.toReversed()), undefined);
	t.is(why(root, await leafOf(5), above), "too many authorities stand between");
	t.is(
		why(root, await leafOf(3), above.slice(0, 1)),
		"no authority that is trusted stands behind it",
	);
});

test("a certificate is read as it is written, and a damaged one is refused", async (t) => {
	const { make, authority } = await pki(t);
	const limited = await make(
		["basicConstraints=critical,CA:TRUE,pathlen:3", ...SERVER],
		authority,
	);
	const whole = new X509Certificate(limited.cert);
	const details = certificateDetails(whole);
	t.is(details.pathLength, 3);
	t.is(details.usage, undefined);
	t.is(details.signedBy, "1.2.840.10045.4.3.2");
	t.deepEqual(details.extensions.map((e) => [e.id, e.critical]).slice(0, 2), [
		["2.5.29.19", true],
		["2.5.29.17", false],
	]);
	t.is(
		certificateDetails(new X509Certificate(authority.cert)).usage,
		0b1100000,
	);
	const { raw } = whole;
	for (let length = 0; length < raw.length; length++)
		t.throws(
			() => certificateDetails({ raw: raw.subarray(0, length) } as never),
			{ code: "E_FILE_FORMAT" } as never,
			`${length} of ${raw.length} bytes`,
		);
	t.deepEqual(readCertificates("no certificate"), []);
	t.is(readCertificates(`x\n${authority.cert}\n${limited.cert}`).length, 2);
});
