import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { loadPrivateKey, loadPublicKey, newKey, writeKeys } from "./keys.ts";
import { loadTrust } from "./load-trust.ts";
import { signBytes, verifyBytes } from "./signature.ts";
import { temporaryDir } from "./testing.ts";

test("keys are written once, the private one for its owner alone", async (t) => {
	const dir = await temporaryDir(t);
	const { key, privatePath, publicPath } = await writeKeys(dir, "release");
	t.is((await stat(privatePath)).mode & 0o777, 0o600);
	t.is((await loadPrivateKey(privatePath)).id, key.id);
	t.is((await loadPublicKey(publicPath)).id, key.id);
	const before = await readFile(privatePath);
	await t.throwsAsync(writeKeys(dir, "release"), { code: "E_KEY" });
	t.deepEqual(await readFile(privatePath), before);
	await t.throwsAsync(writeKeys(dir, "../release"), { code: "E_USAGE" });
});

test("JWK key files are read too", async (t) => {
	const dir = await temporaryDir(t);
	const key = newKey();
	const path = join(dir, "k.json");
	await writeFile(path, JSON.stringify(key.key.export({ format: "jwk" })));
	t.is((await loadPrivateKey(path)).id, key.id);
	const pub = join(dir, "k.pub");
	const jwk = key.publicKey.key.export({ format: "jwk" });
	await writeFile(pub, JSON.stringify(jwk));
	t.is((await loadPublicKey(pub)).id, key.id);
});

test("trust reads folders of public keys and says no to private ones", async (t) => {
	const dir = await temporaryDir(t);
	const { key, privatePath } = await writeKeys(dir, "fleet");
	const trust = await loadTrust([dir]);
	const body = Buffer.from("hello");
	const signature = signBytes("desired", body, key);
	t.is(verifyBytes("desired", body, signature, trust), key.id);
	t.throws(() => verifyBytes("manifest", body, signature, trust), {
		code: "E_SIGNATURE",
	});
	await t.throwsAsync(loadTrust([privatePath]), {
		code: "E_KEY",
		message: /private/,
	});
	await t.throwsAsync(loadTrust([]), { code: "E_KEY" });
	await t.throwsAsync(loadTrust([join(dir, "none")]), { code: "E_KEY" });
});

test("an error about a key file never quotes it", async (t) => {
	const dir = await temporaryDir(t);
	const path = join(dir, "bad.key");
	await writeFile(path, "-----BEGIN PRIVATE KEY-----\nsesame\n");
	const error = await t.throwsAsync(loadPrivateKey(path), { code: "E_KEY" });
	t.notRegex(`${error?.stack} ${error?.cause}`, /sesame/);
});
