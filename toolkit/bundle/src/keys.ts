import {
	createPrivateKey,
	createPublicKey,
	generateKeyPairSync,
	type KeyObject,
} from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkId, WattvoxError, writeAtomic } from "@wattvox/core";
import { sha256 } from "./names.ts";
import type { Purpose } from "./signature.ts";

/** An Ed25519 public key and its id. */
export interface PublicKey {
	/** SHA-256 of the raw 32-byte public key, hex. */
	id: string;
	key: KeyObject;
}

/** An Ed25519 private key; `id` is that of its public half. Never logged. */
export interface PrivateKey {
	id: string;
	key: KeyObject;
	publicKey: PublicKey;
}

/** Which keys are believed, and for what. */
export interface Trust {
	/** The key with this id when it may sign for this purpose. */
	find(id: string, purpose: Purpose): KeyObject | undefined;
	/** From when on nothing new is to be believed (milliseconds since 1970); undefined: never. */
	readonly expires?: number | undefined;
}

/** Trusts each of `keys` for every purpose. */
export function trustKeys(keys: Iterable<PublicKey>): Trust {
	const known = new Map([...keys].map((k) => [k.id, k.key]));
	return { find: (id) => known.get(id) };
}

/**
 * Refuses updates once what is trusted has expired. Speech never asks.
 * @throws WattvoxError E_EXPIRED
 */
export function checkTrustTime({ expires }: Trust, now: number): void {
	if (expires !== undefined && expires <= now)
		throw new WattvoxError(
			"E_EXPIRED",
			`the trusted root expired on ${new Date(expires).toISOString()}: updates wait for a newer root`,
		);
}

/** A public key from its raw 32 bytes. @throws WattvoxError E_KEY */
export function publicKeyFromRaw(raw: Uint8Array): PublicKey {
	const x = Buffer.from(raw).toString("base64url");
	try {
		return asPublicKey(
			createPublicKey({
				key: { kty: "OKP", crv: "Ed25519", x },
				format: "jwk",
			}),
		);
	} catch (cause) {
		throw new WattvoxError("E_KEY", "this is not an Ed25519 public key", {
			cause,
		});
	}
}

/** The raw 32 bytes of a public key. */
export function rawPublicKey({ key }: PublicKey): Buffer {
	return Buffer.from(String(key.export({ format: "jwk" }).x), "base64url");
}

/** A new Ed25519 key. */
export function newKey(): PrivateKey {
	return asPrivateKey(generateKeyPairSync("ed25519").privateKey);
}

/**
 * Makes a key pair: `NAME.key` (PKCS#8 PEM, mode 0600) and `NAME.pub` (SPKI PEM). An existing key
 * is never overwritten.
 * @throws WattvoxError E_USAGE (name), E_KEY (exists), E_OUTPUT
 */
export async function writeKeys(
	dir: string,
	name: string,
): Promise<{ key: PrivateKey; privatePath: string; publicPath: string }> {
	checkId(name, "key name");
	const privatePath = join(dir, `${name}.key`);
	const publicPath = join(dir, `${name}.pub`);
	for (const path of [privatePath, publicPath])
		if (await stat(path).catch(() => undefined))
			throw new WattvoxError("E_KEY", `${path} exists and is kept`);
	const key = newKey();
	await writeAtomic(privatePath, privatePem(key), 0o600);
	await writeAtomic(publicPath, publicPem(key.publicKey), 0o644);
	return { key, privatePath, publicPath };
}

/** PKCS#8 PEM. */
export function privatePem(key: PrivateKey): string {
	return key.key.export({ type: "pkcs8", format: "pem" }).toString();
}

/** SPKI PEM. */
export function publicPem(key: PublicKey): string {
	return key.key.export({ type: "spki", format: "pem" }).toString();
}

/**
 * Reads a private key file: PEM (PKCS#8) or JWK.
 * @throws WattvoxError E_KEY
 */
export async function loadPrivateKey(path: string): Promise<PrivateKey> {
	const text = await readKeyFile(path);
	try {
		return asPrivateKey(
			text.trimStart().startsWith("{")
				? createPrivateKey({ key: JSON.parse(text), format: "jwk" })
				: createPrivateKey(text),
		);
	} catch {
		// no cause: what OpenSSL says about a private key stays out of logs
		throw new WattvoxError("E_KEY", `${path} is not an Ed25519 private key`);
	}
}

/**
 * Reads a public key file: PEM (SPKI) or JWK.
 * @throws WattvoxError E_KEY; also when the file holds a private key, which does not belong on a device
 */
export async function loadPublicKey(path: string): Promise<PublicKey> {
	const text = await readKeyFile(path);
	if (text.includes("PRIVATE KEY") || /"d"\s*:/.test(text))
		throw new WattvoxError(
			"E_KEY",
			`${path} is a private key; give the public one (.pub)`,
		);
	try {
		return asPublicKey(
			text.trimStart().startsWith("{")
				? createPublicKey({ key: JSON.parse(text), format: "jwk" })
				: createPublicKey(text),
		);
	} catch (cause) {
		throw new WattvoxError("E_KEY", `${path} is not an Ed25519 public key`, {
			cause,
		});
	}
}

/** @throws WattvoxError E_KEY */
export async function readKeyFile(path: string): Promise<string> {
	try {
		return await readFile(path, "utf8");
	} catch (cause) {
		throw new WattvoxError("E_KEY", `cannot read key file ${path}`, { cause });
	}
}

function asPrivateKey(key: KeyObject): PrivateKey {
	const publicKey = asPublicKey(createPublicKey(key));
	return { id: publicKey.id, key, publicKey };
}

function asPublicKey(key: KeyObject): PublicKey {
	if (key.asymmetricKeyType !== "ed25519") throw new Error("not Ed25519");
	const { x } = key.export({ format: "jwk" });
	return { id: sha256(Buffer.from(String(x), "base64url")), key };
}
